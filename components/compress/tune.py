"""Trains what a change made of a network: with the batches, early stopping, budget and survival of train.

Fine-tuning starts from weights that have seen the validation examples where train fitted them last (`train.refit`), so
that its validation metric flatters the first epochs; it chooses too few epochs rather than too many. With `refit` it
then starts over on all examples, as train does: a variant that never saw the newest rows could not be compared with
one that did.

One process and one device train: variants are made side by side, and wrappers of TFMOT want no other strategy. All is
computed in float32, because masks and simulated integers are made for it.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from components import artifacts
from components.compress.candidate import Candidate
from components.compress.config import Change, FineTune
from components.learning import place, variables
from components.learning.checkpoint import Checkpoint
from components.learning.course import Budget, Fitted, Schedule
from components.learning.fit import Fit
from components.learning.fitting import Fitting
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import Loop, Losses, losses_of_labels
from components.learning.material import Materials
from components.learning.networks import NetworkSpec
from components.learning.processors import available_cores

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """What the trainings of a recipe took."""

    budget: Budget
    """Of all of them together; has the price."""
    courses: dict[Change, Fitted] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the variant is not, though its recipe says so; a sentence each."""

    @property
    def seconds(self) -> float:
        """Of training and validation, in all processes that went on from each other."""
        return sum(fitted.seconds for fitted in self.courses.values())

    @property
    def examples(self) -> int:
        """Seen, each time counted."""
        return sum(fitted.examples for fitted in self.courses.values())

    @property
    def left(self) -> Budget:
        """What the trainings so far leave of the budget."""
        whole = self.budget
        return replace(
            whole,
            seconds=None if whole.seconds is None else max(0.0, whole.seconds - self.seconds),
            examples=None if whole.examples is None else max(0, whole.examples - self.examples),
            cost=None if whole.cost is None else max(0.0, whole.cost - (self.cost(self.seconds) or 0.0)),
        )

    def cost(self, seconds: float) -> float | None:
        """Of so many seconds; None where nothing has a price."""
        return self.budget.cost_per_hour * seconds / 3600 if self.budget.cost_per_hour else None

    def history(self) -> list[dict[str, Any]]:
        """Each training, as JSON can hold it."""
        return [{"change": change, **asdict(fitted)} for change, fitted in self.courses.items()]


class Tuner:
    """Trains networks for one recipe."""

    def __init__(self, examples: Path, fitting: Fitting, scratch: Path, is_told_to_stop: Callable[[], bool]) -> None:
        """Takes what all trainings of the recipe share.

        Args:
            examples: artifact of preprocess.
            fitting: how networks are fitted.
            scratch: folder of this recipe and this model; a checkpoint in it is gone on from.
            is_told_to_stop: whether the process is to end.
        """
        if fitting.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf_keras.utils.set_random_seed(fitting.seed + 1)  # as train does; without one, deterministic operations refuse
        self.examples, self.fitting = examples, fitting
        self._scratch, self._is_told_to_stop = scratch, is_told_to_stop
        self._place = place.take("single")
        described = artifacts.Examples.read(examples)
        self._materials = Materials(examples, described, fitting, self._place, scratch / "cache")
        self.trained = Trained(fitting.budget.limits(available_cores(), place.accelerators()))

    @property
    def steps(self) -> int:
        """Steps of an epoch, before the validation examples are added."""
        return self._materials.of("train").steps

    def steps_within(self, epochs: int) -> int:
        """Steps of so many epochs, or fewer where the budget of examples ends before."""
        material, left = self._materials.of("train"), self.trained.left.examples
        steps = material.steps * epochs
        return steps if left is None else min(steps, left * material.steps // material.rows)

    def note(self, sentence: str) -> None:
        """Tells, in the log and in `variant.json`, what the variant is not."""
        log.warning(sentence)
        self.trained.notes.append(sentence)

    def fine_tune(
        self, change: Change, candidate: Candidate, fine_tune: FineTune, wrap: "Wrap | None" = None, unjudged: int = 0
    ) -> tf_keras.Model:
        """Lets a candidate go on learning.

        Args:
            change: what was done to it.
            candidate: starts with these weights.
            fine_tune: for how long and how fast.
            wrap: gives the network that is trained; None for the plain one.
            unjudged: first epochs whose weights are not weighed against others.

        Returns:
            the network that was trained, with its new weights.

        Raises:
            DivergedError: the weights are no longer numbers.
            PreemptedError: the process was told to end; the checkpoint is saved.
            UserError: it cannot be trained as configured.
        """
        fitting = self.fitting
        schedule = Schedule(
            fine_tune.epochs, fine_tune.learning_rate, fitting.patience, refit=fitting.refit, unjudged=unjudged
        )
        return self.fit(change, candidate.spec, lambda: (wrap or _plain)(candidate), schedule)

    def fit(
        self,
        change: Change,
        spec: NetworkSpec,
        build: Callable[[], tf_keras.Model],
        schedule: Schedule,
        losses: Losses = losses_of_labels,
    ) -> tf_keras.Model:
        """Trains a network.

        Args:
            change: names the training.
            spec: what the network is made of.
            build: gives the network with its first weights, the same ones each time.
            schedule: how long and how fast.
            losses: what is made small.

        Returns:
            the network that was trained, with its new weights.

        Raises:
            DivergedError: the weights are no longer numbers.
            PreemptedError: the process was told to end; the checkpoint is saved.
            UserError: it cannot be trained as configured.
        """
        loop = Loop(spec, self._place, self.fitting.seed, build=lambda _: build(), losses=losses)
        network = build()
        fit = Fit(
            loop, network, schedule, self.trained.left, Checkpoint(self._scratch / change),
            self.fitting.checkpoint_minutes * 60, self._is_told_to_stop,
        )  # fmt: skip
        log.info("%s: %d epochs at most", change, schedule.epochs)
        of = self._materials.of
        self.trained.courses[change] = fit.run(of("train"), of("train", "validation"), self._materials.validation())
        variables.write(network.variables, loop.weights())
        return network


Wrap = Callable[[Candidate], tf_keras.Model]
"""A candidate → its network as it is trained, the same each time."""


def _plain(candidate: Candidate) -> tf_keras.Model:
    return candidate.copy()
