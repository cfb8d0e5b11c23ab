"""Numbers that become floats: clipped, on a log scale, scaled. All features of a row at once, or one feature alone.

A row has dozens of numbers, and a call of numpy costs as much as ten of them: a vector over the features is what makes
a single row fast.
"""

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import copysign, isfinite, log1p

import numpy as np

from components.features.columns import MISSING_INTEGER, RawBatch
from components.features.declaration import PlainForm, no_ids

FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
"""Nearer to zero than this, a float32 counts as zero: TensorFlow's threads flush such values, numpy does not."""

# By (whether the column is of type float, log): so the floats are one slice, and the logs are one slice.
_RANKS = {(True, False): 0, (True, True): 1, (False, True): 2, (False, False): 3}


@dataclass(frozen=True)
class Scaling:
    """`(value - offset) / divisor`, kept within [low, high]; `fill` is the prepared value of a missing one."""

    offset: float
    divisor: float
    low: float
    high: float
    fill: float

    @property
    def scaled_fill(self) -> float:
        """The float of a missing value."""
        return min(max((self.fill - self.offset) / self.divisor, self.low), self.high)


@dataclass(frozen=True)
class Number:
    """One number of a row: clipped, then put on a log scale, then scaled. NaN and infinity count as missing."""

    column: str
    clip: tuple[float, float] | None
    log: bool
    scaling: Scaling
    indicator: bool
    """Whether a second float tells missing (1) from present (0)."""


class Numbers:
    """Many numbers at once.

    Attributes:
        numbers: in the order of the rows of what a call takes and gives.
        order: where each of them stood among those that were given.
        indicated: the rows whose numbers have an indicator.
    """

    def __init__(self, numbers: Sequence[Number], float_columns: Collection[str]) -> None:
        """Takes the numbers of a model.

        Args:
            numbers: in any order.
            float_columns: the columns of type float; their values are rounded to 32 bits.
        """
        ranks = [_RANKS[number.column in float_columns, number.log] for number in numbers]
        self.order = sorted(range(len(numbers)), key=ranks.__getitem__)
        self.numbers = [numbers[index] for index in self.order]
        counts = [ranks.count(rank) for rank in _RANKS.values()]
        self._float32 = slice(0, counts[0] + counts[1])
        self._log = slice(counts[0], counts[0] + counts[1] + counts[2])
        self.indicated = [row for row, number in enumerate(self.numbers) if number.indicator]
        scalings = [number.scaling for number in self.numbers]
        lows, highs = zip(*map(_inside, self.numbers)) if numbers else ((), ())
        offsets, divisors = [scale.offset for scale in scalings], [scale.divisor for scale in scalings]
        fills = [scale.scaled_fill for scale in scalings]
        self._scales = lows, highs, offsets, divisors, fills
        self._low, self._high, self._offset, self._divisor = map(_column, (lows, highs, offsets, divisors))
        self._fill = _column(fills)

    def dense(self, raw: RawBatch, rows: int) -> np.ndarray:
        """The values of a raw batch of so many rows, as a call takes them."""
        wide = np.empty((len(self.numbers), rows), np.float64)
        for target, number in zip(wide, self.numbers):
            values = raw[number.column]
            target[:] = values
            if values.dtype.kind != "f":
                target[values == MISSING_INTEGER] = np.nan
        return wide

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scales; overwrites what it is given.

        Args:
            values: (numbers, batch) float64; NaN or infinite where missing.

        Returns:
            (numbers, batch) float64 that fit into float32, and (indicators, batch) bool: whether missing.
        """
        with np.errstate(over="ignore"):
            values[self._float32] = values[self._float32].astype(np.float32)
        missing = ~np.isfinite(values)
        logs = values[self._log]
        np.copysign(np.log1p(np.abs(logs)), logs, out=logs)
        np.maximum(values, self._low, out=values)
        np.minimum(values, self._high, out=values)
        values -= self._offset
        values /= self._divisor
        np.copyto(values, self._fill, where=missing)
        return values, missing[self.indicated]

    def of_row(self, values: Sequence[float]) -> tuple[list[float], list[bool]]:
        """One row without numpy, whose calls cost more than ten numbers.

        Args:
            values: (numbers,); NaN or infinite where missing.

        Returns:
            The scaled values, and whether each number that has an indicator is missing.
        """
        prepared = [*array("f", values[self._float32]), *values[self._float32.stop :]]
        missing = [not isfinite(prepared[row]) for row in self.indicated]
        for row in range(self._log.start, self._log.stop):
            prepared[row] = _log(prepared[row])
        return [
            (value - offset) / divisor
            if low <= value <= high
            else fill
            if not isfinite(value)
            else (min(max(value, low), high) - offset) / divisor
            for value, low, high, offset, divisor, fill in zip(prepared, *self._scales)
        ], missing


def _inside(number: Number) -> tuple[float, float]:
    """The prepared values that scaling leaves within its limits."""
    low, high = number.clip or (-FLOAT32_MAX, FLOAT32_MAX)
    scale = number.scaling
    least, most = (limit * scale.divisor + scale.offset for limit in (scale.low, scale.high))
    low, high = (_log(limit) if number.log else limit for limit in (low, high))
    return min(max(low, least), most), max(min(high, most), least)


def _log(value: float) -> float:
    return copysign(log1p(abs(value)), value)


def clip_and_log(values: np.ndarray, clip: tuple[float, float] | None, log: bool) -> np.ndarray:
    """Clips values and puts them on a log scale: sign(x) * log(1 + |x|)."""
    if clip is not None:
        values = np.clip(values, *clip)
    return np.copysign(np.log1p(np.abs(values)), values) if log else values


def plain_number(number: Number) -> PlainForm:
    """One number alone, in numpy."""
    return partial(_alone, Numbers([number], ()))


def _alone(numbers: Numbers, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    column = numbers.numbers[0].column
    values, missing = numbers(numbers.dense(raw, len(raw[column])))
    return np.concatenate([values, missing]).T.astype(np.float32), no_ids(values.shape[1])


def _column(values: Sequence[float]) -> np.ndarray:
    """A vector of shape (values, 1), to be broadcast over a batch."""
    return np.array(values, np.float64)[:, None]
