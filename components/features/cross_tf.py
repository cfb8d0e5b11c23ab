"""`cross` in TensorFlow: the twin of the plain form in `cross.py`."""

import tensorflow as tf

from components.features import tokens_tf
from components.features.columns_tf import RawTensors, no_floats
from components.features.cross import Cross
from components.features.declaration import Learned
from components.features.tokens import SEPARATOR


class CrossGraph(tf.Module):
    """A `cross` feature as TensorFlow ops."""

    def __init__(self, feature: Cross, learned: Learned) -> None:  # noqa: ARG002
        super().__init__()
        self._columns = feature.columns
        self._ids = tokens_tf.TokenIds((), feature.hash_buckets)

    def __call__(self, raw: RawTensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Raw columns (batch,) to floats (batch, 0) float32 and ids (batch, 1) int64."""
        parts = [tokens_tf.tokens(raw[column]) for column in self._columns]
        missing = tf.reduce_any(tf.equal(tf.stack(parts), ""), axis=0)
        joined = tf.where(missing, "", tf.strings.join(parts, SEPARATOR))
        return no_floats(joined), self._ids(joined)
