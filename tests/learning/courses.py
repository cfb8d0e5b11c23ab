"""A small training, to be run as a whole or to be interrupted."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from components.learning import networks, weights
from components.learning.checkpoint import Checkpoint
from components.learning.config import Mlp, Network
from components.learning.course import Budget, Fitted, Schedule
from components.learning.fit import Fit
from components.learning.input import from_columns
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import Arithmetic, Material, loop
from components.learning.networks import NetworkSpec
from components.learning.place import Place, take
from tests.learning.small import labels, make_transform, raw_rows, write_examples

SCHEDULE = Schedule(epochs=12, learning_rate=0.01, patience=3)
BATCH = 50


@dataclass
class Course:
    """Everything that a training of 600 examples, validated on 200, is made of."""

    folder: Path
    task: str = "binary"
    network: Network = field(default_factory=lambda: Mlp(hidden=(8,)))
    is_flipped: bool = False
    """Whether what is learned is wrong in validation."""
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    place: Place = field(default_factory=lambda: take("single"))

    def __post_init__(self) -> None:
        transform = make_transform(self.task)
        described = write_examples(self.folder / "examples", transform, rows=(4, 2), shards=1)
        self.spec = NetworkSpec.of(self.network, described)
        self.training, self.validation = (self._columns(transform, rows, seed) for rows, seed in ((600, 0), (200, 1)))

    def _columns(self, transform, rows: int, seed: int) -> dict[str, np.ndarray]:
        raw = raw_rows(rows, seed)
        floats, ids = transform(raw)
        label = labels(raw, self.task, seed)
        return {"floats": floats, "ids": ids, "label": (1 - label if self.is_flipped and seed else label)[:, None]}

    def run(self, schedule: Schedule = SCHEDULE, budget: Budget = Budget(), told=lambda: False, **how) -> Fitted:  # noqa: B008
        """Trains, from the checkpoint in the folder where there is one; leaves the network in `network_`."""
        tf_keras.utils.set_random_seed(1)
        self.trained = networks.build(self.spec)
        weights.add_optimizer(self.trained)
        made = loop(self.spec, self.place, 0, self.arithmetic)
        made.restore(*weights.state(self.trained))
        checkpoint = Checkpoint(self.folder / "checkpoint")
        fit = Fit(made, self.trained, schedule, budget, checkpoint, how.pop("save_every_s", 1e9), told, **how)
        try:
            return fit.run(self._material(), self._material(self.validation), self.examples(self.validation))
        finally:
            self.state, self.last_rate = (made.weights(), made.optimizer()), made.learning_rate

    def _material(self, more: dict[str, np.ndarray] | None = None) -> Material:
        columns = {
            name: np.concatenate([values, more[name]]) if more else values for name, values in self.training.items()
        }
        rows = len(columns["label"])

        def feed(_share, sizes, position):
            return from_columns(columns, sizes, 0, position)

        return Material(feed, rows, -(-rows // (BATCH * self.place.replicas)))

    @staticmethod
    def examples(columns: dict[str, np.ndarray]) -> tf.data.Dataset:
        """(inputs, label) batches."""
        inputs = dict(columns)
        return tf.data.Dataset.from_tensor_slices((inputs, inputs.pop("label"))).batch(64)


def same(one: tuple, other: tuple) -> bool:
    """Whether two states are equal bit for bit."""
    return all(set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a) for a, b in zip(one, other))
