"""Dense layers and embeddings that may be factored: a matrix of a low rank is the product of two small ones.

A factored layer `<name>` is two: `<name>_in` takes its inputs to `rank` units, and `<name>` these to its outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from components.learning.legacy_keras import tf, tf_keras

layers = tf_keras.layers
Call = Callable[[tf.Tensor], tf.Tensor]


def factor_of(name: str) -> str:
    """The name of the layer that stands before a factored one."""
    return f"{name}_in"


def dense(ranks: Mapping[str, int], name: str, units: int, activation: str | None = None, penalty: Any = None) -> Call:
    """A dense layer, factored where `ranks` names it.

    Args:
        ranks: layer name → rank.
        name: of the layer.
        units: its outputs.
        activation: of the outputs.
        penalty: regularizer of the kernel; of both kernels where it is factored.
    """
    whole = layers.Dense(units, activation, kernel_regularizer=penalty, name=name)
    if name not in ranks:
        return whole
    inner = layers.Dense(ranks[name], use_bias=False, kernel_regularizer=penalty, name=factor_of(name))
    return lambda values: whole(inner(values))


def embedding(ranks: Mapping[str, int], name: str, size: int, width: int) -> Call:
    """An embedding of `size` ids, factored where `ranks` names it."""
    if name not in ranks:
        return layers.Embedding(size, width, name=name)
    inner = layers.Embedding(size, ranks[name], name=factor_of(name))
    whole = layers.Dense(width, use_bias=False, name=name)
    return lambda ids: whole(inner(ids))
