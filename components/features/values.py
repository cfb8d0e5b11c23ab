"""The transform on Python values, as requests bring them.

A single row goes through plain Python: each call of numpy costs as much as scaling ten numbers. And `struct` makes
arrays of Python numbers in a third of numpy's time.
"""

import math
from collections.abc import Iterable, Sequence
from struct import error as StructError  # noqa: N812
from struct import pack
from typing import Any

import numpy as np

from components.features.packing import picker
from components.features.tokens import ValueTable
from components.features.transform import Packed, Transform

Row = tuple[Any, ...]
"""A value for each source column: str, int, float, bool, bytes, datetime without zone; None where missing."""
FEW_ROWS = 2
"""Up to here rows go one by one; above, numpy pays."""
_NAN = math.nan


class ValueTransform:
    """Computes what `Transform` computes, from values."""

    def __init__(self, transform: Transform) -> None:
        """Builds the tables.

        Args:
            transform: the features with their learned constants.
        """
        columns = transform.source_columns
        self._packing = transform.packing
        self._pixels = transform.pixels
        self._image = columns.index(self._pixels.column) if self._pixels else 0
        self._numbers = [columns.index(number.column) for number in self._packing.numbers.numbers]
        self._pick_numbers = picker(self._numbers)
        self._parts = [
            (part_id, columns.index(feature.column))
            for feature in self._packing.cyclic
            for part_id in feature.part_ids()
        ]
        self._ids = [
            (value_id, tuple(map(columns.index, feature.source_columns)))
            for feature in transform.features
            for value_id in feature.value_ids(transform.constants[feature.name], transform.data)
        ]
        self._simple_ids = [(value_id, indices[0]) for value_id, indices in self._ids if len(indices) == 1]
        self._crossed_ids = [(value_id, picker(indices)) for value_id, indices in self._ids if len(indices) > 1]
        simple_first = sorted(range(len(self._ids)), key=lambda position: len(self._ids[position][1]) > 1)
        self._in_order = picker([simple_first.index(position) for position in range(len(self._ids))])
        self._floats_format, self._ids_format = f"{len(transform.float_names)}f", f"{len(self._ids)}i"
        owners = (getattr(value_id, "__self__", None) for value_id, _ in self._ids)
        self._tables = {name: owner for name, owner in zip(transform.id_names, owners) if isinstance(owner, ValueTable)}

    def __call__(self, rows: Sequence[Row]) -> Packed:
        """Computes all features.

        Args:
            rows: one or more.

        Raises:
            ImageError: an image cannot be read.
        """
        packed = self._one_by_one(rows) if len(rows) <= FEW_ROWS else self._together(rows)
        return (*packed, self._pixels([row[self._image] for row in rows])) if self._pixels else packed

    def unseen(self) -> dict[str, int]:
        """By feature, how many values were met that its vocabulary does not know."""
        return {name: table.unseen for name, table in self._tables.items()}

    def _one_by_one(self, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        floats = b"".join([pack(self._floats_format, *self._floats_of(row)) for row in rows])
        ids = b"".join([pack(self._ids_format, *self._ids_of(row)) for row in rows])
        count = len(rows)
        return (
            np.frombuffer(floats, np.float32).reshape(count, len(floats) // (4 * count)),
            np.frombuffer(ids, np.int32).reshape(count, len(self._ids)),
        )

    def _floats_of(self, row: Row) -> Sequence[float]:
        values = [_NAN if value is None else value for value in self._pick_numbers(row)]
        return self._packing.of_row(values, [part_id(row[index]) for part_id, index in self._parts])

    def _ids_of(self, row: Row) -> Sequence[int]:
        ids = [value_id(row[index]) for value_id, index in self._simple_ids]
        ids += [value_id(pick(row)) for value_id, pick in self._crossed_ids]
        return self._in_order(ids)

    def _together(self, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        columns = list(zip(*rows))
        count = len(rows)
        numbers = bytearray().join([_doubles(columns[index]) for index in self._numbers])
        values = np.frombuffer(numbers, np.float64).reshape(len(self._numbers), count)
        parts = [list(map(part_id, columns[index])) for part_id, index in self._parts]
        floats = self._packing(values, np.array(parts, np.intp).reshape(len(parts), count))
        one_id = f"{count}i"
        ids = b"".join([pack(one_id, *map(value_id, _keys(columns, indices))) for value_id, indices in self._ids])
        return floats, np.frombuffer(ids, np.int32).reshape(len(self._ids), count).T


def _keys(columns: Sequence[Sequence[Any]], indices: tuple[int, ...]) -> Iterable[Any]:
    """What an id is computed from, row by row."""
    return columns[indices[0]] if len(indices) == 1 else zip(*[columns[index] for index in indices])


def _doubles(values: Sequence[Any]) -> bytes:
    """Numbers as float64; NaN where missing."""
    form = f"{len(values)}d"
    try:
        return pack(form, *values)
    except StructError:  # a None; looking for one beforehand costs more
        return pack(form, *[_NAN if value is None else value for value in values])
