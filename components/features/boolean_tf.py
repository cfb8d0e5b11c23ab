"""`boolean` in TensorFlow: the twin of the plain form in `boolean.py`."""

import tensorflow as tf

from components.features.boolean import Boolean
from components.features.columns import MISSING_INTEGER
from components.features.columns_tf import RawTensors, no_ids
from components.features.declaration import Learned


class BooleanGraph(tf.Module):
    """A `boolean` feature as TensorFlow ops."""

    def __init__(self, feature: Boolean, learned: Learned) -> None:  # noqa: ARG002
        super().__init__()
        self._feature = feature

    def __call__(self, raw: RawTensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Raw columns (batch,) to floats (batch, 1) float32 and ids (batch, 0) int64."""
        values = raw[self._feature.column]
        floats = tf.where(tf.equal(values, MISSING_INTEGER), self._feature.missing, tf.cast(values, tf.float32))
        return floats[:, tf.newaxis], no_ids(values)
