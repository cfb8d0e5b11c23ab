"""float32: the network as it was trained."""

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source, is_sparse: bool = False) -> bytes:
    """The network as a LiteRT model, its numbers unchanged; in the sparse format, zeros of matrices are left out."""
    converter = source.converter()
    if is_sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return converter.convert()
