"""float32: the network as it was trained."""

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source) -> bytes:
    """The network as a LiteRT model, its numbers unchanged."""
    return tf.lite.TFLiteConverter.from_concrete_functions([source.function], source.network).convert()
