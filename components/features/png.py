"""PNG files, chunk by chunk: what may be read at all, told before a pixel of it is decoded.

Whatever reads images (ingest, the server, bulk prediction) asks this module, so that all refuse the same ones, and
neither Pillow nor TensorFlow ever meets an image that it decodes in its own way or not at all. The limits bound the
memory that a small file may unfold to. TensorFlow alone, as in a SavedModel that another server runs, checks less: it
decodes some of the images that are refused here. The format is the W3C's recommendation "Portable Network Graphics",
third edition.
"""

import base64
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_SIDE = 2**13
MOST_PIXELS = 2**22
"""4.2 million, as 2048 by 2048: 16 MiB once it is decoded."""
MOST_BYTES = 2**22
"""Of a file: what a client may have the server read for one image."""
MOST_CHUNKS = 2**13
"""Each costs more than its bytes; writers put some kilobytes in one."""
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types."""
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
_DEPTHS = {GREY: (1, 2, 4, 8), RGB: (8,), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8,), RGBA: (8,)}
_TRANSPARENCY_BYTES = {GREY: 2, RGB: 6}
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
"""First column, step, first row, step of each pass of an interlaced image."""
_DAMAGED = "is a damaged PNG image"
_CUT_OFF = "is a PNG image that is cut off"
_HEADER = struct.Struct(">IIBBBBB")
_CHUNK = struct.Struct(">I4s")
_SIZES = struct.Struct(">II")
SIZES_END = len(SIGNATURE) + _CHUNK.size + _SIZES.size
"""Where width and height end; the header comes first."""


class ImageError(ValueError):
    """Why an image is not read, as the end of a sentence that begins with its name; there are few different ones."""


@dataclass(frozen=True)
class Png:
    """A readable PNG image, its pixels still compressed."""

    width: int
    height: int
    depth: int
    """Bits of a sample."""
    colour: int
    interlaced: bool
    palette: bytes
    """Red, green and blue of each entry; empty without palette."""
    transparency: bytes
    """Content of the chunk tRNS; empty without."""
    data: bytes
    """The zlib stream of the filtered rows."""


def read(content: bytes) -> Png:
    """Checks an image and takes it apart.

    Args:
        content: the file.

    Raises:
        ImageError: it is no PNG, is damaged or cut off, has 16 bits a sample, or is too large.
    """
    pixels(content)
    png = _joined(_chunks(content))
    _check_rows(png, _inflated(png))
    return png


def pixels(content: bytes) -> int:
    """How many pixels an image says to have, from its first bytes alone.

    Raises:
        ImageError: these bytes show already that it is no PNG or is too large.
    """
    if content[:8] != SIGNATURE:
        raise ImageError("is no PNG image")
    if len(content) > MOST_BYTES:
        raise ImageError(f"is a file of more than {MOST_BYTES} bytes")
    if len(content) < SIZES_END:
        raise ImageError(_CUT_OFF)
    width, height = _SIZES.unpack_from(content, SIZES_END - _SIZES.size)
    if max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
        raise ImageError(f"has more than {MOST_SIDE} pixels on a side or {MOST_PIXELS} in all")
    return int(width * height)


def refusal(content: bytes) -> str | None:
    """Why an image is not read; None where it is."""
    try:
        read(content)
    except ImageError as error:
        return str(error)
    return None


def encode(pixels: np.ndarray) -> bytes:
    """A PNG file.

    Args:
        pixels: (height, width, channels) uint8 with 1 (grey), 2 (with alpha), 3 (RGB) or 4 channels (with alpha).
    """
    height, width, channels = pixels.shape
    colour = {count: colour for colour, count in CHANNELS.items() if colour != PALETTE}[channels]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    header = _HEADER.pack(width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def decode_base64(text: str) -> bytes:
    """An image's bytes out of text, which may be broken into lines, as mail and `base64` of the shell do.

    Raises:
        ValueError: it is no base64.
    """
    return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n\f\v"), validate=True)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk: its length, kind, content and checksum."""
    return _CHUNK.pack(len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, up to the end of the image."""
    offset, kind = len(SIGNATURE), b""
    chunks = 0
    while kind != b"IEND":
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise ImageError(f"has more than {MOST_CHUNKS} chunks")
        if offset + 12 > len(content):
            raise ImageError(_CUT_OFF)
        length, kind = _CHUNK.unpack_from(content, offset)
        end = offset + 8 + length
        if end + 4 > len(content):
            raise ImageError(_CUT_OFF)
        if zlib.crc32(content[offset + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ImageError(_DAMAGED)
        yield kind, content[offset + 8 : end]
        offset = end + 4


def _joined(chunks: Iterator[tuple[bytes, bytes]]) -> Png:
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != _HEADER.size:
        raise ImageError(_DAMAGED)
    found = {b"PLTE": b"", b"tRNS": b""}
    data: list[bytes] = []
    is_behind_data = False
    for kind, body in chunks:
        is_unknown = not kind[0] & 32 and kind not in (b"PLTE", b"IDAT", b"IEND")  # capital: must be understood
        is_late = kind in found and (found[kind] or data)
        is_late = is_late or (kind == b"PLTE" and found[b"tRNS"])  # libpng would forget the transparency
        if is_unknown or is_late or (kind == b"IDAT" and is_behind_data):
            raise ImageError(_DAMAGED)
        is_behind_data = bool(data) and kind != b"IDAT"
        if kind == b"IDAT":
            data.append(body)
        elif kind in found:
            found[kind] = body
    return _checked(header, found[b"PLTE"], found[b"tRNS"], b"".join(data))


def _checked(header: bytes, palette: bytes, transparency: bytes, data: bytes) -> Png:
    width, height, depth, colour, compression, filtering, interlacing = _HEADER.unpack(header)
    if colour in _DEPTHS and depth == 16:
        raise ImageError("has 16 bits a sample, of which at most 8 are read")
    if colour not in _DEPTHS or depth not in _DEPTHS[colour] or compression or filtering or interlacing > 1:
        raise ImageError(_DAMAGED)
    if not width or not height or not data:
        raise ImageError(_DAMAGED)
    if not _fits(colour, depth, palette, transparency):
        raise ImageError(_DAMAGED)
    return Png(width, height, depth, colour, bool(interlacing), palette, transparency, data)


def _fits(colour: int, depth: int, palette: bytes, transparency: bytes) -> bool:
    """Whether palette and transparency are those that an image of this kind may have."""
    entries = len(palette) // 3
    if len(palette) % 3 or (palette and colour in (GREY, GREY_ALPHA)):
        return False
    if colour == PALETTE:
        return 1 <= entries <= 2**depth and len(transparency) <= entries
    return not transparency or len(transparency) == _TRANSPARENCY_BYTES.get(colour)


def _inflated(png: Png) -> bytes:
    """The filtered rows; never more than belongs to the image, whatever the stream unfolds to."""
    size = sum(rows * stride for rows, stride in _passes(png))
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(png.data, size + 1)
    except zlib.error:
        raise ImageError(_DAMAGED) from None
    if len(rows) != size or not stream.eof:
        raise ImageError(_DAMAGED)
    return rows


def _check_rows(png: Png, rows: bytes) -> None:
    """Each row begins with the number of its filter, 0 to 4."""
    start = 0
    for count, stride in _passes(png):
        end = start + count * stride
        if max(rows[start:end:stride], default=0) > 4:
            raise ImageError(_DAMAGED)
        start = end


def _passes(png: Png) -> list[tuple[int, int]]:
    """Rows, and bytes of a row, of each pass; one pass where the image is not interlaced."""
    bits = png.depth * CHANNELS[png.colour]
    if not png.interlaced:
        return [(png.height, 1 + (png.width * bits + 7) // 8)]
    sizes = [(-(-(png.width - x) // dx), -(-(png.height - y) // dy)) for x, dx, y, dy in _ADAM7]
    return [(rows, 1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0]
