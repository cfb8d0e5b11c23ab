"""Raw columns in TensorFlow: the dense form of `columns.py` as tensors."""

import tensorflow as tf

from components.features.columns import ColumnType

RawTensors = dict[str, tf.Tensor]
"""Column name → tensor of shape (batch,) and the type that TENSOR_TYPES gives."""

TENSOR_TYPES: dict[ColumnType, tf.DType] = {
    "string": tf.string,
    "integer": tf.int64,
    "float": tf.float32,
    "boolean": tf.int64,
    "timestamp": tf.int64,
    "image": tf.string,
}


def no_floats(values: tf.Tensor) -> tf.Tensor:
    """The floats of a feature that gives none: shape (batch, 0) float32, for a column of shape (batch,)."""
    return tf.zeros((tf.shape(values)[0], 0), tf.float32)


def no_ids(values: tf.Tensor) -> tf.Tensor:
    """The ids of a feature that gives none: shape (batch, 0) int64, for a column of shape (batch,)."""
    return tf.zeros((tf.shape(values)[0], 0), tf.int64)
