"""float16: half the size; weights are float16 and become float32 when the model is loaded."""

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source) -> bytes:
    """The network as a LiteRT model with float16 weights and float32 arithmetic."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([source.function], source.network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()
