"""The course of a training: epochs with early stopping and budgets, then, if wanted, anew on all examples.

Validation examples are the newest ones where rows are ordered by time, and the newest tell most about what comes next.
They choose the number of epochs, and then they are trained on too.

Whatever ends a training, the best weights so far are kept. One that is killed goes on from its last checkpoint with the
same batches, learning rates and dropout, so that it ends as if it had not been killed.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from components.errors import PreemptedError, UserError
from components.learning import variables
from components.learning.checkpoint import Checkpoint
from components.learning.course import STAGES, Budget, Epoch, Fitted, Progress, Refitted, Schedule, Stage
from components.learning.input import Position
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import STEPS_PER_CALL, Loop, Material, Rate
from components.learning.objective import LOWER_IS_BETTER, METRICS, Judge
from components.learning.variables import State

log = logging.getLogger(__name__)
PARTS = ("weights", "optimizer")


class DivergedError(UserError):
    """The loss or the metric is no longer a number."""


class Fit:
    """One training, from its beginning or its checkpoint to its end."""

    def __init__(
        self,
        loop: Loop,
        judged: tf_keras.Model,
        schedule: Schedule,
        budget: Budget,
        checkpoint: Checkpoint,
        save_every_s: float,
        is_told_to_stop: Callable[[], bool],
        watchers: Sequence[Callable[[Epoch], None]] = (),
    ) -> None:
        """Takes what the training needs.

        Args:
            loop: takes the steps; has the initial weights.
            judged: a network of the same specification, which is given the weights to be measured.
            schedule: how long and how fast.
            budget: what may be used.
            checkpoint: of this very training.
            save_every_s: seconds between two checkpoints.
            is_told_to_stop: whether the process is to end.
            watchers: told of every epoch, of those before the checkpoint too.
        """
        self._loop, self._judged = loop, judged
        self._schedule, self._budget = schedule, budget
        self._checkpoint, self._save_every_s = checkpoint, save_every_s
        self._is_told_to_stop, self._watchers = is_told_to_stop, watchers
        self._judge = Judge(judged, loop.spec)
        self._metric = METRICS[loop.spec.task]
        self._progress = Progress()
        self._unsaved: dict[str, State] = {}
        self._best: State = {}

    def run(self, training: Material, everything: Material, validation: tf.data.Dataset) -> Fitted:
        """Trains to the end.

        Args:
            training: for choosing the number of epochs.
            everything: for the refit.
            validation: (inputs, label) batches.

        Raises:
            DivergedError: the weights are no longer numbers.
            PreemptedError: the process is to end; another one can go on.
        """
        self._begin()
        self._check_same()
        if self._progress.stage == "fit":
            self._fit(training, validation)
        if self._progress.stage == "refit":
            self._refit(everything)
        progress = self._progress
        return Fitted(
            tuple(progress.history), self._metric, progress.best_epoch, progress.stopped, progress.budget_stopped,
            progress.refit, progress.seconds, progress.examples, progress.resumed,
        )  # fmt: skip

    def _begin(self) -> None:
        saved = self._checkpoint.load()
        self._clock_s = self._saved_s = time.monotonic()
        if saved is None:
            self._progress.first_step = self._loop.iterations
            self._keep_beginning()
            return
        self._progress = Progress.read(saved[0])
        self._progress.resumed += 1
        states = saved[1]
        self._best = states.get("best", {})
        self._beginning = {name: states[f"beginning_{name}"] for name in PARTS if f"beginning_{name}" in states}
        self._loop.restore(states["weights"], states["optimizer"])
        at = f"epoch {self._progress.epoch + 1}, step {self._progress.step}"
        log.info("going on from the checkpoint: %s, %s", self._progress.stage, at)
        for epoch in self._progress.history:
            self._tell(epoch)

    def _keep_beginning(self) -> None:
        """For the refit, which starts over from there."""
        if self._schedule.refit:
            self._beginning = {"weights": self._loop.weights(), "optimizer": self._loop.optimizer()}
            self._unsaved = {f"beginning_{name}": state for name, state in self._beginning.items()}

    def _check_same(self) -> None:
        """Processes that found different checkpoints would train apart."""
        progress = self._progress
        mine = (STAGES.index(progress.stage), progress.epoch, progress.step)
        (differs,) = self._loop.place.agree(self._loop.place.of_chief(*mine) != mine)
        if differs:
            raise UserError("the processes of the training found different checkpoints; all must see the same folder")

    def _fit(self, training: Material, validation: tf.data.Dataset) -> None:
        progress, rate = self._progress, Rate(self._schedule.learning_rate)
        batches = self._loop.batches(training, Position(progress.epoch, progress.step))
        while not progress.stopped:
            spent = self._epoch(training, batches, rate)
            self._note(*self._measure(validation), training)
            progress.stopped, progress.budget_stopped = spent or self._why_stop(), spent is not None
        log.info("training ended: %s", progress.stopped)
        if self._schedule.refit and not progress.budget_stopped:
            self._loop.restore(self._beginning["weights"], self._beginning["optimizer"])
            self._enter("refit")
        else:
            self._loop.restore(self._best)
            self._enter("done")

    def _refit(self, everything: Material) -> None:
        progress = self._progress
        steps = everything.steps * progress.best_epoch
        rate = Rate(self._schedule.learning_rate, progress.first_step, steps)
        batches = self._loop.batches(everything, Position(progress.epoch, progress.step))
        while progress.epoch < progress.best_epoch:
            spent = self._epoch(everything, batches, rate)
            is_last = progress.epoch + 1 == progress.best_epoch and progress.step == everything.steps
            if spent is not None and not is_last:
                progress.stopped, progress.budget_stopped = f"{spent}, before all examples were trained on", True
                progress.refit = None
                self._loop.restore(self._best)
                self._enter("done")
                return
            loss = progress.loss / progress.step
            seconds = progress.epoch_s + (progress.refit.seconds if progress.refit else 0.0)
            progress.refit = Refitted(progress.epoch + 1, loss, seconds)
            self._end_epoch()
        if progress.refit is not None:
            log.info("%d epochs on all examples: loss %.5f (%.1f s)", *astuple(progress.refit))
        self._enter("done")

    def _epoch(self, material: Material, batches: Any, rate: Rate) -> str | None:
        """Trains to the end of the epoch, or of a budget, which is then told."""
        progress = self._progress
        while progress.step < material.steps:
            steps = min(STEPS_PER_CALL, material.steps - progress.step, self._affordable_steps(material))
            progress.loss += self._take(batches, steps, rate)
            before, progress.step = progress.step, progress.step + steps
            progress.examples += (
                material.rows * progress.step // material.steps - material.rows * before // material.steps
            )
            self._tick()
            spent = self._budget.spent(progress.seconds, progress.examples)
            told, over = self._loop.place.agree(self._is_told_to_stop(), spent is not None)
            if told:
                raise self._preempted()
            if over:
                return spent or "a budget is used up"
            if time.monotonic() - self._saved_s > self._save_every_s:
                self._try_to_save()
        return None

    def _affordable_steps(self, material: Material) -> int:
        """Steps until the budget of examples is used up; one at least."""
        if self._budget.examples is None:
            return STEPS_PER_CALL
        left = self._budget.examples - self._progress.examples
        return max(1, math.ceil(left * material.steps / material.rows))

    def _take(self, batches: Any, steps: int, rate: Rate) -> float:
        loss = self._loop.take(batches, steps, rate)
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss became {loss}; lower the learning rate, or clip features")
        return loss

    def _measure(self, validation: tf.data.Dataset) -> tuple[float, float]:
        weights = self._loop.weights()
        variables.write(self._judged.variables, weights)
        loss, metric = self._loop.place.of_chief(*self._judge.measure(validation))
        if not (math.isfinite(loss) and math.isfinite(metric)):
            raise DivergedError(f"validation gave loss and {self._metric} {(loss, metric)}; lower the learning rate")
        self._tick()
        score = ((-1 if self._metric == LOWER_IS_BETTER else 1) * metric, -loss)
        progress = self._progress
        # Better by its metric, or by its loss where the metric is equal, as it often is with few examples.
        if score > progress.best_score or progress.epoch <= self._schedule.unjudged:
            progress.best_score, progress.best_epoch = score, progress.epoch + 1
            self._best = self._unsaved["best"] = weights
        return loss, metric

    def _note(self, validation_loss: float, metric: float, training: Material) -> None:
        progress = self._progress
        loss = progress.loss / progress.step
        seen = training.rows * progress.step // training.steps
        epoch = Epoch(progress.epoch + 1, loss, validation_loss, metric, progress.epoch_s, seen)
        progress.history.append(epoch)
        log.info(
            "epoch %d: loss %.5f, validation loss %.5f, %s %.5f (%.1f s)",
            epoch.epoch, loss, validation_loss, self._metric, metric, epoch.seconds,
        )  # fmt: skip
        self._tell(epoch)
        self._end_epoch()

    def _tell(self, epoch: Epoch) -> None:
        for watch in self._watchers:
            try:
                watch(epoch)
            except OSError as error:  # curves are not worth a training
                log.warning("epoch %d cannot be written for TensorBoard: %s", epoch.epoch, error)

    def _end_epoch(self) -> None:
        progress = self._progress
        progress.epoch, progress.step, progress.loss, progress.epoch_s = progress.epoch + 1, 0, 0.0, 0.0

    def _why_stop(self) -> str:
        """Why training ends here, in words; "" where it goes on."""
        progress, schedule = self._progress, self._schedule
        reached = progress.history[-1].validation_metric
        if schedule.target is not None:
            is_reached = reached <= schedule.target if self._metric == LOWER_IS_BETTER else reached >= schedule.target
            if is_reached:
                return f"{self._metric} {reached:.5f} reached the target of {schedule.target:g}"
        if progress.epoch - progress.best_epoch >= schedule.patience:
            epochs = schedule.patience
            return f"{self._metric} did not improve for {epochs} epoch{'s' if epochs > 1 else ''}"
        if progress.epoch >= schedule.epochs:
            return f"all {schedule.epochs} epochs are done"
        return ""

    def _enter(self, stage: Stage) -> None:
        self._progress.stage, self._progress.epoch, self._progress.step = stage, 0, 0
        self._try_to_save()

    def _tick(self) -> None:
        """Adds the time since the last tick to what the training took."""
        now_s = time.monotonic()
        self._progress.seconds += now_s - self._clock_s
        self._progress.epoch_s += now_s - self._clock_s
        self._clock_s = now_s

    def _preempted(self) -> PreemptedError:
        try:
            self._save()
        except OSError as error:
            return PreemptedError(
                f"told to end; the checkpoint cannot be saved ({error}), an earlier one is gone on from"
            )
        return PreemptedError("told to end; the checkpoint is saved, run it again to go on")

    def _try_to_save(self) -> None:
        """A training goes on without a checkpoint for a while: there may be room again when it ends."""
        try:
            self._save()
        except OSError as error:
            log.warning("the checkpoint cannot be saved (%s); training goes on without", error)
            self._saved_s = time.monotonic()

    def _save(self) -> None:
        if self._loop.place.is_chief:
            state = {"weights": self._loop.weights(), "optimizer": self._loop.optimizer()}
            self._checkpoint.save(self._progress.plain(), {**self._unsaved, **state})
            self._unsaved = {}
        self._saved_s = time.monotonic()
