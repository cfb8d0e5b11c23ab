"""The plain transform on Arrow columns, for many rows: what is looked up is looked up once for each distinct value.

Every plain form is a function of single rows. So where a form searches a vocabulary or a calendar, it is given the
distinct values, and its ids are dealt out to the rows by the values' codes. The forms are the features' own: there is
no second definition that could differ.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.features.arrow import dense
from components.features.columns import Data, RawBatch
from components.features.numeric import Numeric
from components.features.transform import Transform

BLOCK_ROWS = 2048
"""Rows whose floats and ids, and what is needed to compute them, stay in a core's cache."""


@dataclass(frozen=True)
class _Coded:
    """Distinct rows of one or several columns, and for each row of the table the place of its own among them."""

    values: tuple[np.ndarray, ...]
    """For each column (distinct,) in the dense form."""
    codes: np.ndarray
    """(rows,) int."""


@dataclass(frozen=True)
class _Ids:
    """Ids of one feature."""

    columns: tuple[str, ...]
    compute: Callable[[RawBatch], np.ndarray]
    """Raw columns of shape (batch,) → (ids, batch) int32."""


@dataclass(frozen=True)
class _Found:
    """What was looked up."""

    ids: np.ndarray
    """(ids, distinct) int32."""
    codes: np.ndarray

    def of(self, rows: slice) -> np.ndarray:
        """The ids of some rows of the table, (ids, rows) int32."""
        return self.ids.take(self.codes[rows], axis=1)


class BulkTransform:
    """A transform of Arrow columns that gives exactly what `Transform.__call__` gives for their dense form."""

    def __init__(self, transform: Transform) -> None:
        self.source_columns = transform.source_columns
        self._data = transform.data
        self._packing = transform.packing
        giving = [feature for feature in transform.features if feature.id_sizes(transform.constants[feature.name])]
        forms = {feature.name: feature.plain(transform.constants[feature.name]) for feature in giving}
        self._ids = [_Ids(feature.source_columns, _ids_of(forms[feature.name])) for feature in giving]
        self._counts = [isinstance(feature, Numeric) for feature in giving]
        """Whether ids are calculated, for each row, and not looked up."""
        self._parts = [_Ids((feature.column,), _parts_of(feature)) for feature in self._packing.cyclic]
        looked_up = [ids for ids, counts in zip(self._ids, self._counts) if not counts]
        self._coded = _columns([*looked_up, *self._parts])
        calculated = [ids for ids, counts in zip(self._ids, self._counts) if counts]
        self._dense = tuple(dict.fromkeys(number.column for number in self._packing.numbers.numbers))
        self._dense = tuple(dict.fromkeys([*self._dense, *_columns(calculated)]))

    def __call__(self, table: pa.RecordBatch | pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Computes all features.

        Args:
            table: at least `source_columns` in their canonical Arrow types, strings also as dictionaries of them.

        Returns:
            floats of shape (rows, F) float32 and ids of shape (rows, I) int32.
        """
        floats, ids = zip(*self.blocks(table))
        return np.concatenate(floats), np.concatenate(ids)

    def blocks(self, table: pa.RecordBatch | pa.Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Computes all features of BLOCK_ROWS rows at a time; an empty table gives one empty block.

        Args:
            table: as for a call.

        Yields:
            what a call returns, of the next rows.
        """
        coded = {name: _code(table.column(name), name, self._data) for name in self._coded}
        found = [None if counts else _look_up(ids, coded) for ids, counts in zip(self._ids, self._counts)]
        parts = [_look_up(part, coded) for part in self._parts]
        raw = dense(table, self._data, self._dense)
        for start in range(0, max(table.num_rows, 1), BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, table.num_rows))
            block = {name: values[rows] for name, values in raw.items()}
            yield self._floats(parts, block, rows), self._packed_ids(found, block, rows)

    def _floats(self, parts: Sequence[_Found], block: RawBatch, rows: slice) -> np.ndarray:
        count = rows.stop - rows.start
        part_ids = np.concatenate([np.empty((0, count), np.int32), *(part.of(rows) for part in parts)])
        return self._packing(self._packing.numbers.dense(block, count), part_ids)

    def _packed_ids(self, found: Sequence[_Found | None], block: RawBatch, rows: slice) -> np.ndarray:
        pieces = [ids.compute(block) if known is None else known.of(rows) for ids, known in zip(self._ids, found)]
        packed = np.concatenate([np.empty((0, rows.stop - rows.start), np.int32), *pieces])
        return np.ascontiguousarray(packed.T)


def _ids_of(form: Callable[[RawBatch], tuple[np.ndarray, np.ndarray]]) -> Callable[[RawBatch], np.ndarray]:
    return lambda raw: form(raw)[1].T


def _parts_of(feature) -> Callable[[RawBatch], np.ndarray]:
    return lambda raw: feature.dense_part_ids(raw[feature.column])


def _columns(ids: Sequence[_Ids]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in ids for name in one.columns))


def _code(values: pa.Array | pa.ChunkedArray, name: str, data: Data) -> _Coded:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole if types.is_dictionary(whole.type) else whole.dictionary_encode()
    distinct = pa.concat_arrays([coded.dictionary, pa.nulls(1, coded.dictionary.type)])
    codes = np.asarray(pc.fill_null(coded.indices.cast(pa.int32()), len(coded.dictionary)))
    return _Coded((dense(pa.table({name: distinct}), data, (name,))[name],), codes)


def _look_up(ids: _Ids, coded: dict[str, _Coded]) -> _Found:
    rows = _combined([coded[name] for name in ids.columns])
    return _Found(ids.compute(dict(zip(ids.columns, rows.values))), rows.codes)


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
