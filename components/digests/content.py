"""XXH3-128 of a file's bytes: one pass, a mebibyte of memory, at the speed of the disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import xxhash

CHUNK_BYTES = 1 << 20


class Content(NamedTuple):
    """What a file holds."""

    digest: str
    """XXH3-128 of the bytes, 32 hexadecimal digits."""
    bytes: int
    is_read: bool = True
    """Whether the bytes were read for it; otherwise it was remembered."""


class Hash(Protocol):
    """What hashlib and xxhash have in common."""

    def update(self, data: memoryview, /) -> object:
        """Takes the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far."""


class _Readable(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def file_digest(path: Path) -> str:
    """XXH3-128 of a file's bytes, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    return file_content(path).digest


def file_content(path: Path) -> Content:
    """Reads a file to its end.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        return read_content(cast(BinaryIO, file))


def read_content(file: BinaryIO, others: Iterable[Hash] = ()) -> Content:
    """Reads an open file to its end.

    Args:
        file: opened for reading bytes.
        others: further hashes of the same bytes.

    Raises:
        OSError: the file cannot be read.
    """
    digest = xxhash.xxh3_128()
    hashes = (digest, *others)
    buffer = memoryview(bytearray(CHUNK_BYTES))
    total = 0
    while count := cast(_Readable, file).readinto(buffer):  # no copy is made, and other threads run meanwhile
        total += count
        for one in hashes:
            one.update(buffer[:count])
    return Content(digest.hexdigest(), total)
