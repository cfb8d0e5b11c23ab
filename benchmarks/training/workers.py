"""Two training processes beside one, on the same cores and the same examples.

The step is called as the pipeline calls it: `train.workers` 1 or 2, all else the model's own, so that with two workers
a step takes twice the examples at a learning rate by the configured rule. Beside them stands one process on one core:
what two workers could at best be twice as fast as.
"""

import shutil
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
ONE, TWO, PINNED = "one process, both cores", "two workers, both cores", "one process, one core"


def measure(flights: Flights, _rounds: int) -> tuple[list[Table], list[Claim]]:
    """Each way once: their speed is not claimed."""
    folder = flights.examples("workers", UNTIL, f"preprocess.heldout_days={HELDOUT_DAYS}")
    heldout = Heldout(folder)
    done: dict[str, dict[str, Any]] = {}
    aucs: dict[str, float] = {}
    for way in (ONE, TWO, PINNED):
        place = flights.work / "workers"
        shutil.rmtree(place, ignore_errors=True)
        model = _train(way, folder, place, flights)
        done[way], aucs[way] = details(model), heldout.auc_of(model)
    shutil.rmtree(place)
    apart = abs(aucs[TWO] - aucs[ONE])
    return [_table(done, aucs)], [at_most("workers: AUC of two and of one, apart", apart, MOST_APART, ".4f")]


def _train(way: str, folder: Path, place: Path, flights: Flights) -> Path:
    """Trains one way; the artifact `model` without records."""
    paths = paths_in(place, folder, flights.empty)
    if way == TWO:
        local.launch(paths, train_config(workers=2))
    else:
        run(paths, train_config(), cores=(0,) if way == PINNED else ())
    return paths.result


def _table(done: dict[str, dict[str, Any]], aucs: dict[str, float]) -> Table:
    table = Table(
        "", "batch", "learning rate", "epochs", "AUC on July", "examples/s", "of one process", title="workers"
    )
    for way, said in done.items():
        ratio = said["examples_per_s"] / done[ONE]["examples_per_s"]
        figures = (f"{said['batch_size']}", f"{said['learning_rate']:.2g}", f"{said['best_epoch']}")
        table.add_row(way, *figures, f"{aucs[way]:.4f}", f"{said['examples_per_s']:,}", f"{ratio:.2f}")
    efficiency = done[TWO]["examples_per_s"] / (2 * done[PINNED]["examples_per_s"])
    table.caption = f"two workers are {efficiency:.0%} of twice one process on one core"
    return table
