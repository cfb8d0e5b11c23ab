"""The plain transform on Arrow columns, for many rows: what is looked up is looked up once for each distinct value.

Every plain form is a function of single rows. So where a form searches a vocabulary or a calendar, it is given the
distinct values, and its ids are dealt out to the rows by the values' codes. The forms are the features' own: there is
no second definition that could differ.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.features.arrow import dense
from components.features.columns import Data, RawBatch
from components.features.datetime import Datetime
from components.features.declaration import PlainForm
from components.features.numeric import Numeric
from components.features.pixels import MAX_PIXELS
from components.features.transform import Packed, Transform

BLOCK_ROWS = 4096
"""Rows whose floats, and what is needed to compute them, stay in a core's cache."""


@dataclass(frozen=True)
class _Ids:
    """The ids of one feature."""

    columns: tuple[str, ...]
    compute: Callable[[RawBatch], np.ndarray]
    """Raw columns of shape (batch,) → (ids, batch) int32."""
    looked_up: bool
    """Whether it is cheaper to code the columns and to compute the ids of distinct values."""


@dataclass(frozen=True)
class _Coded:
    """The distinct values of one or several columns, and for each row the place of its own among them."""

    values: tuple[np.ndarray, ...]
    """For each column (distinct,) in the dense form."""
    codes: np.ndarray
    """(rows,) int."""


class BulkTransform:
    """A transform of Arrow columns that gives exactly what `Transform.__call__` gives for their dense form."""

    def __init__(self, transform: Transform) -> None:
        self._data = transform.data
        self._packing = transform.packing
        self._pixels = transform.pixels
        self._ids = _ids(transform)
        self._parts = [_Ids((feature.column,), _parts_of(feature), True) for feature in self._packing.cyclic]
        every = [*self._ids, *self._parts]
        self._coded = _columns([ids.columns for ids in every if ids.looked_up])
        numbers = [(number.column,) for number in self._packing.numbers.numbers]
        images = [(self._pixels.column,)] if self._pixels else []
        pixels = math.prod(transform.image_shape[:2])
        self._block_rows = max(1, min(BLOCK_ROWS, MAX_PIXELS // pixels))
        self._dense = _columns([*numbers, *images, *(ids.columns for ids in every if not ids.looked_up)])

    def __call__(self, table: pa.RecordBatch | pa.Table) -> Packed:
        """Computes all features.

        Args:
            table: at least the source columns in their canonical Arrow types, strings also as dictionaries of them.

        Raises:
            ImageError: an image cannot be read.
        """
        return tuple(np.concatenate(pieces) for pieces in zip(*self.blocks(table)))

    def blocks(self, table: pa.RecordBatch | pa.Table) -> Iterator[Packed]:
        """Computes all features of BLOCK_ROWS rows at a time, of fewer where they hold images.

        An empty table gives one empty block.

        Args:
            table: as for a call.

        Yields:
            what a call returns, of the next rows.
        """
        rows = table.num_rows
        coded = {name: _code(table.column(name), name, self._data) for name in self._coded}
        raw = dense(table, self._data, self._dense)
        parts = _stacked([_look_up(part, coded) for part in self._parts], rows)
        ids = _stacked([_look_up(one, coded) if one.looked_up else one.compute(raw) for one in self._ids], rows)
        packed = np.ascontiguousarray(ids.T)
        values = self._packing.numbers.dense(raw, rows)
        for start in range(0, max(rows, 1), self._block_rows):
            block = slice(start, start + self._block_rows)
            floats = self._packing(values[:, block], parts[:, block])
            images = [self._pixels(raw[self._pixels.column][block])] if self._pixels else []
            yield floats, packed[block], *images


def _ids(transform: Transform) -> list[_Ids]:
    """For each feature that gives ids. Only quantile buckets are calculated: their numbers hardly repeat."""
    found = []
    for feature in transform.features:
        learned = transform.constants[feature.name]
        if feature.id_sizes(learned):
            compute = _ids_of(feature.plain(learned))
            found.append(_Ids(feature.source_columns, compute, not isinstance(feature, Numeric)))
    return found


def _ids_of(form: PlainForm) -> Callable[[RawBatch], np.ndarray]:
    return lambda raw: form(raw)[1].T


def _parts_of(feature: Datetime) -> Callable[[RawBatch], np.ndarray]:
    return lambda raw: feature.dense_part_ids(raw[feature.column])


def _columns(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for several in names for name in several))


def _code(values: pa.Array | pa.ChunkedArray, name: str, data: Data) -> _Coded:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole if types.is_dictionary(whole.type) else whole.dictionary_encode()
    distinct = pa.concat_arrays([coded.dictionary, pa.nulls(1, coded.dictionary.type)])
    codes = np.asarray(pc.fill_null(coded.indices.cast(pa.int32()), len(coded.dictionary)))
    return _Coded((dense(pa.table({name: distinct}), data, (name,))[name],), codes)


def _look_up(ids: _Ids, coded: dict[str, _Coded]) -> np.ndarray:
    """(ids, rows) int32."""
    rows = _combined([coded[name] for name in ids.columns])
    return ids.compute(dict(zip(ids.columns, rows.values))).take(rows.codes, axis=1)


def _combined(columns: Sequence[_Coded]) -> _Coded:
    """Columns beside each other: their combinations that occur."""
    rows = columns[0]
    for column in columns[1:]:
        size = len(column.values[0])
        pairs = pa.array(rows.codes * np.int64(size) + column.codes).dictionary_encode()
        first, second = np.divmod(np.asarray(pairs.dictionary), size)
        values = *(known[first] for known in rows.values), column.values[0][second]
        rows = _Coded(values, np.asarray(pairs.indices))
    return rows


def _stacked(pieces: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Pieces of shape (ids, rows) int32 below each other."""
    return np.concatenate([np.empty((0, rows), np.int32), *pieces])
