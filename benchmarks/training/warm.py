"""Month by month: a warm start from the version of the month before beside a training from scratch on all data so far.

Each month from March to December 2013 is once the month that comes next: its rows are held out, all earlier ones are
there. Both starts go through the steps themselves, preprocess and train, with the model's own settings. The warm one
goes on from the warm version of the month before (the first from a cold one of January), so that ten warm starts follow
each other; it sees the new days and a sample of the old. A month in which drift calls for a cold start counts as one
that needs all examples of the cold training.

How soon it is as good as the cold one is measured in its last stage, which gives the weights to keep and trains on all
rows: the same steps are taken once more, and every few of them the weights are judged on the month that comes next. Of
the cold training that stage alone is counted as well, not its search for the best epoch: with both, warm would need an
even smaller share.
"""

import calendar
import gc
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.claims import Claim, at_least, at_most
from benchmarks.training.flights import Flights, Heldout, train_config
from benchmarks.training.processes import details
from components import artifacts
from components.artifacts import Examples
from components.features.declaration import Vocabulary
from components.features.transform import Transform
from components.learning import networks, variables, weights
from components.learning.input import BEGINNING
from components.learning.legacy_keras import tf_keras
from components.learning.loop import Loop, Rate
from components.learning.material import Materials
from components.learning.networks import NetworkSpec
from components.learning.place import Place, take
from components.train.train import train

YEAR = 2013
MONTHS = range(3, 13)
STEPS_BETWEEN = 10
"""Steps of the warm course between two looks at its AUC."""
MOST_SHARE = 0.1
MOST_BELOW = 0.003
SHOWN = ("tailnum", "dest")
PARTS = ("train", "validation")


@dataclass(frozen=True)
class Month:
    """What the two starts gave, judged on this month."""

    month: int
    start: str
    new_tokens: dict[str, int]
    """By feature: tokens that the base does not know."""
    base_auc: float
    """Of the warm start before its first step."""
    cold_auc: float
    warm_auc: float
    cold_examples: int
    """Seen in the stage that gave the weights."""
    cold_all: int
    """Seen in all."""
    warm_all: int
    reached_after: float
    """Examples until the warm course had the AUC of the cold training; infinite if it never had."""

    @property
    def share(self) -> float:
        """Of the cold training's examples."""
        return self.reached_after / self.cold_examples


def measure(flights: Flights, _rounds: int) -> tuple[list[Table], list[Claim]]:
    """Ten months; nothing is timed, so that one round is enough."""
    base = _version(_trained(flights, "cold", MONTHS[0] - 1, flights.empty), 1)
    found = []
    for number, month in enumerate(MONTHS, start=2):
        cold = _trained(flights, "cold", month, flights.empty)
        warm = _trained(flights, "warm", month, base)
        found.append(_compare(month, cold, warm, base))
        base = _version(warm, number)
        tf_keras.backend.clear_session()
        gc.collect()
    return [_table(found)], _claims(found)


@dataclass(frozen=True)
class Trained:
    """What the steps left."""

    examples: Path
    model: Path

    @property
    def details(self) -> dict[str, Any]:
        """What training says of itself."""
        return details(self.model)

    @property
    def last_stage(self) -> int:
        """Examples seen in the stage that gave the weights."""
        rows = Examples.read(self.examples).rows
        return self.details["best_epoch"] * sum(rows[part] for part in PARTS)


def _trained(flights: Flights, kind: str, month: int, base: Path) -> Trained:
    """The steps on all rows before a month; the month itself is held out."""
    days = calendar.monthrange(YEAR, month)[1]
    name = f"{kind}-{month:02}"
    until, held_out = f"{YEAR}-{month:02}-{days}", f"preprocess.heldout_days={days}"
    examples = flights.examples(name, until, held_out, base=base)
    model = flights.work / f"model-{name}"
    if not (model / artifacts.TRAINING).exists():
        train(examples, base, train_config(), flights.work, model)
    return Trained(examples, model)


def _version(trained: Trained, number: int) -> Path:
    """A folder with what a warm start reads of a version."""
    described = Examples.read(trained.examples)
    lineage = {
        "version": number,
        "trained_until": described.trained_until,
        "partitions": list(described.partitions),
    }
    artifacts.write_json(trained.model / artifacts.LINEAGE, lineage)
    assert Transform.read(trained.model) == Transform.read(trained.examples)
    return trained.model


def _compare(month: int, cold: Trained, warm: Trained, base: Path) -> Month:
    started = Examples.read(warm.examples).base_version is not None
    cold_auc = Heldout(cold.examples).auc_of(cold.model)
    heldout = Heldout(warm.examples)
    # Drift may call for new constants, and so for a cold start: that needs what the cold training needs.
    base_auc, reached_after = _course(warm, base, heldout, cold_auc) if started else (math.nan, cold.last_stage)
    return Month(
        month=month,
        start=warm.details["start"],
        new_tokens=_new_tokens(Transform.read(warm.examples), Transform.read(base)),
        base_auc=base_auc,
        cold_auc=cold_auc,
        warm_auc=heldout.auc_of(warm.model),
        cold_examples=cold.last_stage,
        cold_all=cold.details["examples_seen"],
        warm_all=warm.details["examples_seen"],
        reached_after=reached_after,
    )


def _new_tokens(transform: Transform, base: Transform) -> dict[str, int]:
    return {name: len(_tokens(transform, name) - _tokens(base, name)) for name in SHOWN}


def _tokens(transform: Transform, name: str) -> set[Any]:
    learned = transform.constants[name]
    assert isinstance(learned, Vocabulary)
    return set(learned.tokens)


def _course(warm: Trained, base: Path, heldout: Heldout, wanted: float) -> tuple[float, float]:
    """The last stage of a warm training once more, as far as a wanted AUC.

    Returns:
        the AUC before the first step, and the examples seen when it was reached; infinite if it never was.
    """
    config, place = train_config().train, take("single")
    loop, judged = _started(warm, base, place)
    materials = Materials(warm.examples, Examples.read(warm.examples), config, place, warm.model / "cache")
    material = materials.of(*PARTS)
    steps = material.steps * warm.details["best_epoch"]
    batches = loop.batches(material, BEGINNING)
    rate = Rate(config.warm_learning_rate, loop.iterations, steps)
    begun = auc = heldout.auc(judged)
    done = 0
    while auc < wanted and done < steps:
        taken = min(STEPS_BETWEEN, steps - done)
        loop.take(batches, taken, rate)
        done += taken
        variables.write(judged.variables, loop.weights())
        auc = heldout.auc(judged)
    return begun, material.rows * done / material.steps if auc >= wanted else math.inf


def _started(warm: Trained, base: Path, place: Place) -> tuple[Loop, tf_keras.Model]:
    """Loop and network with the weights that the warm start began with."""
    base_spec = NetworkSpec.read(base)
    spec = NetworkSpec.of(base_spec.network, Examples.read(warm.examples))
    spec = replace(spec, embedding_widths=base_spec.embedding_widths)
    tf_keras.utils.set_random_seed(train_config().train.seed + 1)
    network = networks.build(spec)
    weights.add_optimizer(network)
    maps = weights.row_maps(spec, Transform.read(warm.examples), base_spec, Transform.read(base))
    weights.warm_start(network, base, maps)
    loop = Loop(spec, place, train_config().train.seed)
    loop.restore(*weights.state(network))
    return loop, network


def _claims(found: list[Month]) -> list[Claim]:
    shares = [month.share for month in found]
    differences = [month.warm_auc - month.cold_auc for month in found]
    new = sum(any(month.new_tokens.values()) for month in found)
    return [
        at_most("warm: examples to the cold AUC, share of the cold training's, median", float(np.median(shares)),
                MOST_SHARE, ".1%"),
        at_least("warm: final AUC minus that of the cold training, mean", float(np.mean(differences)),
                 -MOST_BELOW, "+.4f"),
        at_least("warm: months with new tail numbers or destinations", new, 1, "d"),
    ]  # fmt: skip


def _table(found: list[Month]) -> Table:
    table = Table(title="warm and cold, judged on the month that comes next")
    for column in (
        "month", "start", *(f"new {name}" for name in SHOWN), "AUC: base", "cold", "warm", "warm - cold",
        "cold: examples, last stage", "all", "warm: all", "warm: until the cold AUC", "share",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for month in found:
        table.add_row(calendar.month_abbr[month.month], month.start, *_cells(month))
    of_all = np.median([month.reached_after / month.cold_all for month in found])
    table.caption = f"median share of all that the cold training saw: {of_all:.1%}"
    return table


def _cells(month: Month) -> list[str]:
    aucs = (f"{auc:.4f}" for auc in (month.base_auc, month.cold_auc, month.warm_auc))
    seen = (f"{count:,}" for count in (month.cold_examples, month.cold_all, month.warm_all))
    reached = (
        ("never", "") if math.isinf(month.reached_after) else (f"{month.reached_after:,.0f}", f"{month.share:.1%}")
    )
    tokens = (str(count) for count in month.new_tokens.values())
    return [*tokens, *aucs, f"{month.warm_auc - month.cold_auc:+.4f}", *seen, *reached]
