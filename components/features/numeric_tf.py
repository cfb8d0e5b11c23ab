"""`numeric` in TensorFlow: the twin of the plain form in `numeric.py`."""

from typing import cast

import tensorflow as tf

from components.features.columns import MISSING_INTEGER
from components.features.columns_tf import RawTensors, no_floats, no_ids
from components.features.declaration import MISSING_ID, Bounds, Learned
from components.features.numbers import FLOAT32_TINY
from components.features.numeric import Numeric, scaling


class NumericGraph(tf.Module):
    """A `numeric` feature as TensorFlow ops."""

    def __init__(self, feature: Numeric, learned: Learned) -> None:
        super().__init__()
        self._feature = feature
        self._learned = learned

    def __call__(self, raw: RawTensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Raw columns (batch,) to floats (batch, float_width) float32 and ids (batch, ids) int64."""
        values, missing = _prepare(self._feature, raw[self._feature.column])
        if self._feature.scale == "buckets":
            return no_floats(values), self._bucket_ids(values, missing)
        return self._floats(values, missing), no_ids(values)

    def _bucket_ids(self, values: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
        # Infinity lies above every value: it changes no id, and searchsorted refuses an empty list.
        bounds = tf.constant([*cast(Bounds, self._learned).bounds, float("inf")], tf.float64)
        ids = 1 + tf.searchsorted(bounds, values, side="right", out_type=tf.int64)
        return tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids)[:, tf.newaxis]

    def _floats(self, values: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
        scale = scaling(self._feature, self._learned)
        filled = tf.where(missing, tf.constant(scale.fill, tf.float64), values)
        scaled = (filled - tf.constant(scale.offset, tf.float64)) / tf.constant(scale.divisor, tf.float64)
        floats = [tf.cast(tf.clip_by_value(scaled, scale.low, scale.high), tf.float32)]
        if self._feature.indicator:
            floats.append(tf.cast(missing, tf.float32))
        return tf.stack(floats, axis=1)


def prepare(feature: Numeric, raw: RawTensors) -> tf.Tensor:
    """The values to learn moments or bounds from: (batch,) float64, clipped and on a log scale; NaN where missing."""
    values, missing = _prepare(feature, raw[feature.column])
    return tf.where(missing, tf.constant(float("nan"), tf.float64), values)


def _prepare(feature: Numeric, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    missing = ~tf.math.is_finite(values) if values.dtype.is_floating else tf.equal(values, MISSING_INTEGER)
    wide = tf.cast(values, tf.float64)
    wide = tf.where(missing | (tf.abs(wide) < FLOAT32_TINY), tf.constant(0, tf.float64), wide)
    if feature.clip is not None:
        wide = tf.clip_by_value(wide, *feature.clip)
    if feature.log:
        wide = tf.sign(wide) * tf.math.log1p(tf.abs(wide))
    return wide, missing
