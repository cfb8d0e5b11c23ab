"""The fit loop: Adam, a learning rate that drops where validation stalls, early stopping, the best epoch kept."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec

log = logging.getLogger(__name__)
METRICS: dict[str, str] = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
"""The validation metric of each task."""
LOWER_IS_BETTER = "rmse"
DROP = 0.2
STEPS_PER_EXECUTION = 50


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast."""

    epochs: int
    """Most epochs."""
    learning_rate: float
    patience: int
    """Epochs without improvement after which the learning rate drops, or training stops."""
    drops: int
    """How often the learning rate drops before training stops."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    epoch: int
    """From 1 on."""
    loss: float
    """Mean over the training examples while the weights change."""
    validation_loss: float
    validation_metric: float
    learning_rate: float
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


class _Keeper(tf_keras.callbacks.Callback):
    """Logs each epoch, keeps the best weights and goes back to them where validation stalls.

    An epoch is better by its metric, or by its loss where the metric is equal, as it often is with few examples.
    """

    def __init__(self, metric: str, schedule: Schedule) -> None:
        super().__init__()
        self.metric = metric
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self.stopped = f"all {schedule.epochs} epochs are done"
        self._schedule = schedule
        self._drops_left = schedule.drops
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
            self._stalled()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self.model.set_weights(self._weights)

    def _stalled(self) -> None:
        if not self._drops_left:
            epochs = self._schedule.patience
            self.stopped = f"{self.metric} did not improve for {epochs} epoch{'s' if epochs > 1 else ''}"
            self.model.stop_training = True
            return
        self._drops_left -= 1
        self._waited = 0
        self.model.set_weights(self._weights)
        self.model.optimizer.learning_rate.assign(DROP * self.model.optimizer.learning_rate)

    def _note(self, epoch: int, logs: dict[str, float]) -> None:
        metric = logs[f"val_{self.metric}"]
        seconds = time.perf_counter() - self._started_s
        rate = float(self.model.optimizer.learning_rate)
        self.history.append(Epoch(epoch, logs["loss"], logs["val_loss"], metric, rate, seconds))
        log.info(
            "epoch %d: loss %.5f, validation loss %.5f, %s %.5f (learning rate %.2g, %.1f s)",
            epoch, logs["loss"], logs["val_loss"], self.metric, metric, rate, seconds,
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
