"""What must be known of each row to choose its part: its label, and its day or the hash of its key."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as types

from components.artifacts import Snapshot
from components.features.columns import MISSING_INTEGER, Data
from components.features.labels import label_numbers

DAY_US = 86_400_000_000
NO_DAY = MISSING_INTEGER // DAY_US
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Facts:
    """The facts of one row group's rows."""

    path: str
    group: int
    partition: str
    labels: np.ndarray
    """(rows,) float32, NaN where the label is missing."""
    order: np.ndarray
    """With a time column (rows,) int32 days since 1970, NO_DAY where the time is missing; else (rows,) float64, the
    place of the key's hash between 0 and 1."""


def read_facts(snapshot: Snapshot, data: Data) -> Iterator[Facts]:
    """Reads the label and the time, or the key, of every row, one row group at a time.

    Raises:
        UserError: a label that the declaration does not allow.
    """
    needed = (data.time,) if data.time else data.key or tuple(data.columns)
    for partition, path in zip(snapshot.partitions, snapshot.paths()):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=list(dict.fromkeys((*needed, data.label))))
            order = _days(table.column(data.time)) if data.time else _places(table.select(list(needed)))
            yield Facts(str(path), group, partition.digest, label_numbers(table.column(data.label), data), order)


def _days(times: pa.ChunkedArray) -> np.ndarray:
    values = np.asarray(pc.fill_null(times.cast(pa.int64()), MISSING_INTEGER))
    return (values // DAY_US).astype(np.int32)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not types.is_binary(column.type):
        return column.cast(pa.string())
    images = column.to_pylist()
    return pa.chunked_array([[None if image is None else hashlib.sha256(image).hexdigest() for image in images]])


def _places(key: pa.Table) -> np.ndarray:
    texts = [pc.fill_null(_text(column), "") for column in key.columns]
    joined = pc.binary_join_element_wise(*texts, SEPARATOR).to_pylist()
    return np.fromiter((farmhash.Fingerprint64(text) for text in joined), np.uint64, len(joined)) / 2.0**64
