"""What training makes small, and what it is judged by."""

from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec

METRICS: dict[str, str] = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
"""The validation metric of each task."""
LOWER_IS_BETTER = "rmse"


def example_losses(spec: NetworkSpec, label: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """The loss of each example, (batch,) float32.

    Args:
        spec: the network; a number to predict is measured in its deviations.
        label: (batch, 1) float32.
        predicted: (batch, outputs) float32.
    """
    if spec.task == "regression":
        return tf.reduce_mean(tf.square((label - predicted) / spec.label_std), axis=-1)
    if spec.task == "multiclass":
        return tf_keras.losses.sparse_categorical_crossentropy(label, predicted)
    return tf_keras.losses.binary_crossentropy(label, predicted)


class Judge:
    """Measures a network on examples."""

    def __init__(self, network: tf_keras.Model, spec: NetworkSpec) -> None:
        self._network, self._spec = network, spec
        self._metric = _metric(spec.task)
        self._losses = tf_keras.metrics.Mean()
        self._add = tf.function(self._add_batch, reduce_retracing=True)

    def measure(self, examples: tf.data.Dataset) -> tuple[float, float]:
        """Mean loss and metric (METRICS) over (inputs, label) batches."""
        self._metric.reset_state()
        self._losses.reset_state()
        for inputs, label in examples:
            self._add(inputs, label)
        return float(self._losses.result()), float(self._metric.result())

    def _add_batch(self, inputs: dict[str, tf.Tensor], label: tf.Tensor) -> None:
        predicted = self._network(inputs, training=False)
        self._metric.update_state(label, predicted)
        self._losses.update_state(example_losses(self._spec, label, predicted))


def _metric(task: str) -> tf_keras.metrics.Metric:
    if task == "regression":
        return tf_keras.metrics.RootMeanSquaredError(METRICS[task])
    if task == "multiclass":
        return tf_keras.metrics.SparseCategoricalAccuracy(METRICS[task])
    return tf_keras.metrics.AUC(num_thresholds=1000, name=METRICS[task])
