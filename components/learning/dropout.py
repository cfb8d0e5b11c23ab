"""Dropout whose masks follow from a seed and the step, so that a training that was killed goes on as if it was not.

Keras draws its masks from a generator whose state no checkpoint holds.
"""

import contextlib
import zlib
from collections.abc import Iterator
from contextvars import ContextVar

from components.learning.legacy_keras import tf, tf_keras

_SEED: ContextVar[tf.Tensor | None] = ContextVar("seed of the masks", default=None)


@contextlib.contextmanager
def masks_of(seed: tf.Tensor) -> Iterator[None]:
    """While the block runs, what calls a network in training draws the masks of this seed.

    Args:
        seed: (2,) int32 or int64; another one for each step and replica.
    """
    token = _SEED.set(seed)
    try:
        yield
    finally:
        _SEED.reset(token)


class Dropout(tf_keras.layers.Dropout):
    """Leaves out a share of what it gets, in training; inside `masks_of` always the same for the same seed."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Inputs of any shape, of which `rate` are zero in training and the others grow by 1 / (1 - rate)."""
        seed = _SEED.get()
        if seed is None or not training:
            return super().call(inputs, training=training)
        own = tf.random.experimental.stateless_fold_in(seed, zlib.crc32(self.name.encode()) & 0x7FFFFFFF)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, own, noise_shape=self._get_noise_shape(inputs))
