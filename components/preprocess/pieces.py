"""Pieces of a snapshot, and which of them go into one shard."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

SHARD_BYTES = 2**27
"""Of the pixels in a shard, which is in memory a few times while it is written."""


@dataclass(frozen=True)
class Piece:
    """Some rows of one row group of a Parquet file."""

    path: str
    group: int
    rows: np.ndarray
    """(rows,) int32, ascending: places in the row group."""

    def read(self, names: Sequence[str]) -> pa.Table:
        """The rows, with the columns `names`."""
        with _open_parquet(self.path) as file:
            table = file.read_row_group(self.group, columns=list(names))
        return table if len(self.rows) == table.num_rows else table.take(self.rows)


@contextlib.contextmanager
def _open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """A file of a folder, which Arrow reads best itself, or of a bucket that Beam knows."""
    if "://" not in path:
        with pq.ParquetFile(path) as file:
            yield file
        return
    with FileSystems.open(path) as opened, pq.ParquetFile(opened) as file:
        yield file


@dataclass(frozen=True)
class Shard:
    """What one TFRecord file is made from."""

    name: str
    pieces: tuple[Piece, ...]
    seed: int
    """Of the order of its rows."""

    @property
    def rows(self) -> int:
        """How many examples it holds."""
        return sum(len(piece.rows) for piece in self.pieces)


def rows_of_shard(wanted: int, image_shape: tuple[int, ...]) -> int:
    """Rows in a shard, roughly: fewer than wanted where their pixels would need more than SHARD_BYTES.

    Args:
        wanted: as configured.
        image_shape: height, width and channels; empty without images.
    """
    return max(1, min(wanted, SHARD_BYTES // math.prod(image_shape))) if image_shape else wanted


def deal(pieces: Iterable[Piece], part: str, rows_per_shard: int, seed: int) -> list[Shard]:
    """Deals pieces, which come in the order of time, out to shards so that each shard holds times far apart.

    A piece goes to the shard that has the fewest rows so far; one larger than a shard is split into every second,
    third, … of its rows. A shard may hold up to two pieces' rows more than `rows_per_shard`.

    Args:
        pieces: in the order of time; those without rows are left out.
        part: the first word of the files' names.
        rows_per_shard: rows in a shard, roughly.
        seed: of the order inside the shards.
    """
    parts = [smaller for piece in pieces for smaller in _split(piece, rows_per_shard)]
    count = math.ceil(sum(len(piece.rows) for piece in parts) / rows_per_shard)
    hands: list[list[Piece]] = [[] for _ in range(count)]
    sizes = [0] * count
    for piece in parts:
        smallest = sizes.index(min(sizes))
        hands[smallest].append(piece)
        sizes[smallest] += len(piece.rows)
    filled = [tuple(hand) for hand in hands if hand]
    return [
        Shard(f"{part}-{index:05d}-of-{len(filled):05d}.tfrecord.gz", hand, seed + index)
        for index, hand in enumerate(filled)
    ]


def _split(piece: Piece, most: int) -> list[Piece]:
    count = math.ceil(len(piece.rows) / most)
    return [Piece(piece.path, piece.group, piece.rows[start::count]) for start in range(count)]
