"""int8_float_io: int8 inside, float32 at the border, for callers that know nothing of scales and zero points."""

from components.compress.int8 import integer_converter
from components.compress.source import Source


def convert(source: Source) -> bytes:
    """The network as a LiteRT model of int8 operations only; floats and output stay float32 at its border."""
    return integer_converter(source).convert()
