"""float16: half the size; weights are float16 and become float32 when the model is loaded."""

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source, is_sparse: bool = False) -> bytes:
    """The network as a LiteRT model with float16 weights and float32 arithmetic, without zeros in the sparse format."""
    converter = source.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if is_sparse:
        converter.optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()
