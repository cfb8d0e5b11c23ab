"""Two training processes beside one, on the same cores and the same examples.

The step is called as the pipeline calls it: `train.workers` 1 or 2, all else the model's own, so that with two workers
a step takes twice the examples at a learning rate by the configured rule. Beside them stands one process on one core:
what two workers could at best be twice as fast as.

AUCs are means of three seeds: between seeds one process differs from itself by as much as is allowed here.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.claims import Claim, at_most
from benchmarks.training.flights import Flights, Heldout, train_config
from benchmarks.training.processes import details, paths_in, run
from components.train import local

UNTIL = "2013-07-31"
"""Two workers on two cores take their time: June and earlier is trained on, July held out."""
HELDOUT_DAYS = 31
MOST_APART = 0.003
SEEDS = (0, 1, 2)
ONE, TWO, PINNED = "one process, both cores", "two workers, both cores", "one process, one core"


@dataclass(frozen=True)
class Way:
    """A way to train, and what came of it."""

    said: dict[str, Any]
    """Of the first seed."""
    aucs: tuple[float, ...]

    @property
    def auc(self) -> float:
        """The mean of the seeds."""
        return sum(self.aucs) / len(self.aucs)


def measure(flights: Flights, _rounds: int) -> tuple[list[Table], list[Claim]]:
    """Each way with each seed once: their speed is not claimed."""
    folder = flights.examples("workers", UNTIL, f"preprocess.heldout_days={HELDOUT_DAYS}")
    heldout = Heldout(folder)
    ways: dict[str, Way] = {}
    for name, seeds in ((ONE, SEEDS), (TWO, SEEDS), (PINNED, SEEDS[:1])):
        found = []
        for seed in seeds:
            place = flights.work / "workers"
            shutil.rmtree(place, ignore_errors=True)
            model = _train(name, seed, folder, place, flights)
            found.append((details(model), heldout.auc_of(model)))
        ways[name] = Way(found[0][0], tuple(auc for _, auc in found))
    shutil.rmtree(place)
    apart = abs(ways[TWO].auc - ways[ONE].auc)
    return [_table(ways)], [at_most("workers: mean AUC of two and of one, apart", apart, MOST_APART, ".4f")]


def _train(way: str, seed: int, folder: Path, place: Path, flights: Flights) -> Path:
    """Trains one way; the artifact `model` without records."""
    paths = paths_in(place, folder, flights.empty)
    if way == TWO:
        local.launch(paths, train_config(workers=2, seed=seed))
    else:
        run(paths, train_config(seed=seed), cores=(0,) if way == PINNED else ())
    return paths.result


def _table(ways: dict[str, Way]) -> Table:
    columns = ("", "batch", "learning rate", "epochs", "AUC on July", "of each seed", "examples/s", "of one process")
    table = Table(*columns, title="workers")
    for name, way in ways.items():
        said = way.said
        ratio = said["examples_per_s"] / ways[ONE].said["examples_per_s"]
        figures = (f"{said['batch_size']}", f"{said['learning_rate']:.2g}", f"{said['best_epoch']}", f"{way.auc:.4f}")
        each = " ".join(f"{auc:.4f}" for auc in way.aucs)
        table.add_row(name, *figures, each, f"{said['examples_per_s']:,}", f"{ratio:.2f}")
    efficiency = ways[TWO].said["examples_per_s"] / (2 * ways[PINNED].said["examples_per_s"])
    table.caption = f"two workers are {efficiency:.0%} of twice one process on one core"
    return table
