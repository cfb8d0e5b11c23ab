"""`category` in TensorFlow: the twin of the plain form in `category.py`."""

import tensorflow as tf

from components.features import tokens_tf
from components.features.category import Category, known_tokens
from components.features.columns_tf import RawTensors, no_floats
from components.features.declaration import Learned


class CategoryGraph(tf.Module):
    """A `category` feature as TensorFlow ops."""

    def __init__(self, feature: Category, learned: Learned) -> None:
        super().__init__()
        self._feature = feature
        self._ids = tokens_tf.TokenIds(known_tokens(feature, learned), feature.buckets)

    def __call__(self, raw: RawTensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Raw columns (batch,) to floats (batch, 0) float32 and ids (batch, 1) int64."""
        values = raw[self._feature.column]
        return no_floats(values), self._ids(tokens_tf.tokens(values))


def prepare(feature: Category, raw: RawTensors) -> tf.Tensor:
    """The values to learn a vocabulary from: (batch,) string, "" where missing."""
    return tokens_tf.tokens(raw[feature.column])
