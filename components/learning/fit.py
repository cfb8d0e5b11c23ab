"""The fit loop: Adam, early stopping, the best epoch kept; then, if wanted, anew on all examples for as many epochs.

Validation examples are the newest ones where rows are ordered by time, and the newest tell most about what comes next.
They choose the number of epochs, and then they are trained on too.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec

log = logging.getLogger(__name__)
METRICS: dict[str, str] = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
"""The validation metric of each task."""
LOWER_IS_BETTER = "rmse"
STEPS_PER_EXECUTION = 50


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast."""

    epochs: int
    """Most epochs."""
    learning_rate: float
    patience: int
    """Epochs without improvement after which training stops."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    epoch: int
    """From 1 on."""
    loss: float
    """Mean over the training examples while the weights change."""
    validation_loss: float
    validation_metric: float
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """How training went; the model has the weights of the best epoch."""

    history: tuple[Epoch, ...]
    metric: str
    best_epoch: int
    """From 1 on."""
    stopped: str
    """Why training ended, in one sentence."""


@dataclass(frozen=True)
class Refitted:
    """How the training on all examples went."""

    epochs: int
    loss: float
    """Of the last epoch."""
    seconds: float


def compile_model(model: tf_keras.Model, spec: NetworkSpec, learning_rate: float) -> None:
    """Gives a network its loss, its metric and a fresh Adam with all its variables."""
    optimizer = tf_keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, _loss(spec), [_metric(spec.task)], steps_per_execution=STEPS_PER_EXECUTION)


def fit(
    model: tf_keras.Model, training: tf.data.Dataset, validation: tf.data.Dataset, spec: NetworkSpec, schedule: Schedule
) -> Fitted:
    """Trains until validation no longer improves, and leaves the best epoch's weights in the model.

    Args:
        model: compiled by `compile_model`.
        training: (inputs, label) batches.
        validation: the same; it chooses the epoch.
        spec: what the network was built from; its task decides the validation metric (METRICS).
        schedule: how long to train, and how fast.
    """
    keeper = _Keeper(METRICS[spec.task], schedule)
    model.optimizer.learning_rate.assign(schedule.learning_rate)
    model.fit(training, validation_data=validation, epochs=schedule.epochs, callbacks=[keeper], verbose=0)
    return Fitted(tuple(keeper.history), keeper.metric, keeper.best_epoch, keeper.stopped)


class Beginning:
    """The state of a compiled network before it is trained, to come back to."""

    def __init__(self, model: tf_keras.Model) -> None:
        self._weights = model.get_weights()
        self._optimizer = [variable.numpy() for variable in model.optimizer.variables]

    def restore(self, model: tf_keras.Model) -> None:
        """Gives a network its weights and its optimizer's state back."""
        model.set_weights(self._weights)
        for variable, value in zip(model.optimizer.variables, self._optimizer):
            variable.assign(value)


def refit(model: tf_keras.Model, beginning: Beginning, examples: tf.data.Dataset, epochs: int, rate: float) -> Refitted:
    """Trains anew for a known number of epochs, with a learning rate that falls along a cosine to zero.

    Args:
        model: compiled by `compile_model`.
        beginning: where to start.
        examples: (inputs, label) batches.
        epochs: how many.
        rate: the learning rate at the beginning.
    """
    started_s = time.perf_counter()
    beginning.restore(model)
    cosine = _Cosine(rate, len(examples) * epochs)
    history = model.fit(examples, epochs=epochs, callbacks=[cosine], verbose=0).history
    seconds = time.perf_counter() - started_s
    log.info("%d epochs on all examples: loss %.5f (%.1f s)", epochs, history["loss"][-1], seconds)
    return Refitted(epochs, history["loss"][-1], seconds)


class _Cosine(tf_keras.callbacks.Callback):
    """Sets the learning rate before each execution of some steps."""

    def __init__(self, rate: float, steps: int) -> None:
        super().__init__()
        self._rate = rate
        self._steps = steps

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._first = int(self.model.optimizer.iterations)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        done = (int(self.model.optimizer.iterations) - self._first) / self._steps
        self.model.optimizer.learning_rate.assign(self._rate * (1 + math.cos(math.pi * done)) / 2)


class _Keeper(tf_keras.callbacks.Callback):
    """Logs each epoch, keeps the best weights and stops where validation stalls.

    An epoch is better by its metric, or by its loss where the metric is equal, as it often is with few examples.
    """

    def __init__(self, metric: str, schedule: Schedule) -> None:
        super().__init__()
        self.metric = metric
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self.stopped = f"all {schedule.epochs} epochs are done"
        self._schedule = schedule
        self._waited = 0
        self._best = (float("-inf"), float("-inf"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._started_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._note(epoch + 1, dict(logs or {}))
        last = self.history[-1]
        sign = -1 if self.metric == LOWER_IS_BETTER else 1
        score = (sign * last.validation_metric, -last.validation_loss)
        if score > self._best:
            self._best, self.best_epoch, self._waited = score, last.epoch, 0
            self._weights = self.model.get_weights()
            return
        self._waited += 1
        if self._waited >= self._schedule.patience:
            epochs = self._schedule.patience
            self.stopped = f"{self.metric} did not improve for {epochs} epoch{'s' if epochs > 1 else ''}"
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self.model.set_weights(self._weights)

    def _note(self, epoch: int, logs: dict[str, float]) -> None:
        metric = logs[f"val_{self.metric}"]
        seconds = time.perf_counter() - self._started_s
        self.history.append(Epoch(epoch, logs["loss"], logs["val_loss"], metric, seconds))
        log.info(
            "epoch %d: loss %.5f, validation loss %.5f, %s %.5f (%.1f s)",
            epoch, logs["loss"], logs["val_loss"], self.metric, metric, seconds,
        )  # fmt: skip


def _loss(spec: NetworkSpec) -> str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    if spec.task == "regression":
        return lambda label, predicted: tf.reduce_mean(tf.square((label - predicted) / spec.label_std), axis=-1)
    return "sparse_categorical_crossentropy" if spec.task == "multiclass" else "binary_crossentropy"


def _metric(task: str) -> tf_keras.metrics.Metric:
    if task == "regression":
        return tf_keras.metrics.RootMeanSquaredError(METRICS[task])
    if task == "multiclass":
        return tf_keras.metrics.SparseCategoricalAccuracy(METRICS[task])
    return tf_keras.metrics.AUC(num_thresholds=1000, name=METRICS[task])
