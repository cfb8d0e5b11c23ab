"""PNG images of every kind, written byte by byte, and a strategy that draws them."""

import struct
import zlib

import numpy as np
from hypothesis import strategies as st

from components.features import png

KINDS = [(colour, depth) for colour, depths in png._DEPTHS.items() for depth in depths]
_CHANNELS = png.CHANNELS


def header(width: int, height: int, depth: int = 8, colour: int = png.GREY, interlaced: bool = False) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)


def assembled(*chunks: tuple[bytes, bytes]) -> bytes:
    return png.SIGNATURE + b"".join(png.chunk(kind, body) for kind, body in chunks)


def rows_of(kind: tuple[int, int], width: int, height: int, seed: int) -> bytes:
    """Random rows, each with a random filter."""
    colour, depth = kind
    random = np.random.default_rng(seed)
    samples = random.integers(0, 256, (height, (width * depth * _CHANNELS[colour] + 7) // 8), np.uint8)
    return np.concatenate([random.integers(0, 5, (height, 1), np.uint8), samples], axis=1).tobytes()


def passes_of(kind: tuple[int, int], width: int, height: int, seed: int) -> bytes:
    """Random rows of each of the seven passes of Adam7."""
    sizes = [(len(range(x, width, dx)), len(range(y, height, dy))) for x, dx, y, dy in png._ADAM7]
    passes = [rows_of(kind, *size, seed + number) for number, size in enumerate(sizes) if all(size)]
    return b"".join(passes)


def picture(
    kind: tuple[int, int],
    width: int,
    height: int,
    seed: int = 0,
    transparent: bool = False,
    entries: int = 256,
    in_passes: bool = False,
) -> bytes:
    """A random image; `entries` of the palette, where it has one, are at most those that its depth allows."""
    colour, depth = kind
    random = np.random.default_rng(seed)
    chunks = [(b"IHDR", header(width, height, depth, colour, in_passes))]
    if colour == png.PALETTE:
        entries = min(entries, 2**depth)
        chunks.append((b"PLTE", random.bytes(3 * entries)))
    if transparent and colour in (png.GREY, png.RGB, png.PALETTE):
        content = {png.GREY: bytes([0, random.integers(0, 2**depth)]), png.RGB: random.bytes(6)}
        chunks.append((b"tRNS", content.get(colour) or random.bytes(int(random.integers(1, entries + 1)))))
    data = zlib.compress(passes_of(kind, width, height, seed) if in_passes else rows_of(kind, width, height, seed))
    return assembled(*chunks, (b"IDAT", data[:9]), (b"IDAT", data[9:]), (b"IEND", b""))


def interlaced(pixels: np.ndarray) -> bytes:
    """Grey pixels (height, width) uint8 in the seven passes of Adam7."""
    height, width = pixels.shape
    passes = (pixels[y::dy, x::dx] for x, dx, y, dy in png._ADAM7)
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    head = header(width, height, interlaced=True)
    return assembled((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


pictures = st.builds(
    picture,
    st.sampled_from(KINDS),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**16),
    st.booleans(),
    st.integers(1, 256),
    st.booleans(),
)
