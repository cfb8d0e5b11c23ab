"""`datetime` in TensorFlow: the twin of the plain form in `datetime.py`."""

import tensorflow as tf

from components.features.columns import MISSING_INTEGER
from components.features.columns_tf import RawTensors, no_floats, no_ids
from components.features.datetime import Datetime, Part, circle, index
from components.features.declaration import MISSING_ID, Learned


class DatetimeGraph(tf.Module):
    """A `datetime` feature as TensorFlow ops."""

    def __init__(self, feature: Datetime, learned: Learned) -> None:  # noqa: ARG002
        super().__init__()
        self._feature = feature

    def __call__(self, raw: RawTensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Raw columns (batch,) to floats (batch, float_width) float32 and ids (batch, ids) int64."""
        seconds = raw[self._feature.column]
        ids = [_ids(part, seconds) for part in self._feature.parts]
        if self._feature.encode == "category":
            return no_floats(seconds), tf.stack(ids, axis=1)
        circles = [tf.gather(tf.constant(circle(part)), rows) for part, rows in zip(self._feature.parts, ids)]
        return tf.concat(circles, axis=1), no_ids(seconds)


def _ids(part: Part, seconds: tf.Tensor) -> tf.Tensor:
    missing = tf.equal(seconds, MISSING_INTEGER)
    return tf.where(missing, tf.constant(MISSING_ID, tf.int64), 1 + index(part, seconds))
