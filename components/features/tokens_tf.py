"""Tokens and their ids in TensorFlow."""

from collections.abc import Sequence

import tensorflow as tf

from components.features.columns import MISSING_INTEGER
from components.features.declaration import MISSING_ID


def tokens(values: tf.Tensor) -> tf.Tensor:
    """A dense column (batch,) of strings, integers or booleans as tokens (batch,) string; "" where missing."""
    if values.dtype == tf.string:
        return values
    return tf.where(tf.equal(values, MISSING_INTEGER), "", tf.strings.as_string(values))


class TokenIds(tf.Module):
    """Token → id: 0 for "", then the hash buckets for unknown tokens, then the known tokens in their order."""

    def __init__(self, known: Sequence[str], buckets: int) -> None:
        super().__init__()
        self.buckets = buckets
        first = 1 + buckets
        # The initializer is kept in the graph, so that a SavedModel needs no text file (LiteRT cannot read one).
        keys = tf.constant([token.encode() for token in known], tf.string, shape=(len(known),))
        initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.range(first, first + len(known), dtype=tf.int64))
        self.table = tf.lookup.StaticHashTable(initializer, default_value=MISSING_ID) if known else None

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Tokens (batch,) string to ids (batch, 1) int64."""
        ids = 1 + tf.strings.to_hash_bucket_fast(values, self.buckets)
        if self.table is not None:
            found = self.table.lookup(values)
            ids = tf.where(tf.equal(found, MISSING_ID), ids, found)
        return tf.where(tf.equal(values, ""), tf.constant(MISSING_ID, tf.int64), ids)[:, tf.newaxis]
