"""dynamic: a quarter of the size; weights are int8, activations are quantized while the model runs."""

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source) -> bytes:
    """The network as a LiteRT model with int8 weights and float32 inputs and outputs."""
    converter = source.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()
