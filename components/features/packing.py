"""All floats of a row, computed together and put in the order of the declaration."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from components.features.boolean import Boolean
from components.features.columns import Data
from components.features.datetime import Datetime, circle
from components.features.declaration import Constants
from components.features.declared import AnyFeature
from components.features.numbers import Number, Numbers

_Source = tuple[str, int]
"""Where a packed float comes from: `number`, `indicator` or `circle`, and which of them in order of declaration."""


class FloatPacking:
    """The floats of all features, from the values of their numbers and the ids of their cyclic parts.

    Attributes:
        numbers: the numbers, as `Numbers` orders them.
        cyclic: the `datetime` features that give points on a circle.
    """

    def __init__(self, features: Sequence[AnyFeature], constants: Constants, data: Data) -> None:
        """Takes the features of a model, with what was learned for them."""
        self.cyclic = [feature for feature in features if isinstance(feature, Datetime) and feature.encode == "cyclic"]
        numbers: list[Number] = []
        sources: list[_Source] = []
        circles = 0
        for feature in features:
            if isinstance(feature, Datetime) and feature.encode == "cyclic":
                sources += [("circle", circles + index) for index in range(feature.float_width)]
                circles += feature.float_width
            elif (number := _number(feature, constants)) is not None:
                sources += [("number", len(numbers)), *([("indicator", len(numbers))] if number.indicator else [])]
                numbers.append(number)
        self.numbers = Numbers(numbers, [name for name, column in data.columns.items() if column.type == "float"])
        rows = self._rows(numbers)
        order = [rows[source] for source in sources]
        self._in_order = picker(order)
        self._columns = np.argsort(order)
        """The float that each row of the stacked ones becomes."""
        tables = [circle(part) for feature in self.cyclic for part in feature.parts]
        self._circles, self._starts = _joined(tables)
        self._points: list[list[list[float]]] = [table.tolist() for table in tables]

    def _rows(self, numbers: Sequence[Number]) -> dict[_Source, int]:
        """The row of each float among numbers, indicators and circles, stacked in this order."""
        rows = {("number", index): row for row, index in enumerate(self.numbers.order)}
        indicated = [index for index in self.numbers.order if numbers[index].indicator]
        rows |= {("indicator", index): len(numbers) + row for row, index in enumerate(indicated)}
        first = len(numbers) + len(indicated)
        width = sum(feature.float_width for feature in self.cyclic)
        return rows | {("circle", index): first + index for index in range(width)}

    def __call__(self, values: np.ndarray, part_ids: np.ndarray) -> np.ndarray:
        """Computes the floats.

        Args:
            values: (numbers, batch) float64, NaN where missing, in the order of `numbers`; overwritten.
            part_ids: (parts, batch) int: the id of each part of `cyclic`; 0 where missing.

        Returns:
            (batch, F) float32, in the order of the features.
        """
        count = values.shape[1]
        stacked = [*self.numbers(values)]
        if len(part_ids):
            points = self._circles[part_ids + self._starts]
            stacked.append(points.transpose(0, 2, 1).reshape(2 * len(part_ids), count))
        floats = np.empty((len(self._columns), count), np.float32)
        start = 0
        for block in stacked:
            floats[self._columns[start : start + len(block)]] = block
            start += len(block)
        return np.ascontiguousarray(floats.T)

    def of_row(self, values: list[float], part_ids: Sequence[int]) -> Sequence[float]:
        """The floats of one row, computed without numpy.

        Args:
            values: in the order of `numbers`; NaN where missing.
            part_ids: the id of each part of `cyclic`; 0 where missing.
        """
        scaled, missing = self.numbers.of_row(values)
        points = [point for table, part_id in zip(self._points, part_ids) for point in table[part_id]]
        return self._in_order([*scaled, *missing, *points])


def picker(indices: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function that gives the items of a sequence at some indices."""
    if len(indices) > 1:
        return itemgetter(*indices)
    return lambda items: [items[index] for index in indices]


def _number(feature: AnyFeature, constants: Constants) -> Number | None:
    if isinstance(feature, Boolean) or feature.kind == "numeric":
        return feature.number(constants[feature.name])
    return None


def _joined(tables: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tables one below the other, and the first row of each, of shape (tables, 1)."""
    starts = np.cumsum([0, *(len(table) for table in tables)])[:-1]
    return (np.concatenate(tables) if tables else np.empty((0, 2), np.float32)), starts[:, None]
