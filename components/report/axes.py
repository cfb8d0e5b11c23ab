"""Axes: nice ticks, and from values to places in a drawing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LARGEST = 1e300
_SMALLEST = 1e-300
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """Maps `low`..`high` to `start`..`end` in the drawing's units."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The place of a value; what lies outside is put on the border."""
        part = (value - self.low) / (self.high - self.low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick's number, with as many decimals as the ticks' distance needs."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(tick) or 1.0
        if not 1e-6 <= step < 1e9:
            return f"{tick:.3g}"
        decimals = next((n for n in range(8) if math.isclose(round(step, n), step, rel_tol=1e-6)), 8)
        return f"{tick:,.{decimals}f}"


def nice_axis(values: Iterable[float], start: float, end: float, count: int = 5, from_zero: bool = False) -> Axis:
    """An axis that holds all values, with ends and ticks on round numbers.

    Args:
        values: what the axis must hold; with none it is 0..1.
        start, end: where the axis lies in the drawing.
        count: about how many intervals to make.
        from_zero: whether 0 must be on it.
    """
    held = [_bounded(value) for value in values] + ([0.0] if from_zero else [])
    low, high = (min(held), max(held)) if held else (0.0, 1.0)
    if high - low <= abs(high) * 1e-9:
        low, high = _widened(low, from_zero)
    step = nice_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(step * index for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def _bounded(value: float) -> float:
    """Keeps what is computed with the value finite, and what is divided by it too."""
    return 0.0 if abs(value) < _SMALLEST else min(max(value, -_LARGEST), _LARGEST)


def _widened(value: float, from_zero: bool) -> tuple[float, float]:
    if value == 0:
        return 0.0, 1.0
    if from_zero:
        return min(0.0, value), max(0.0, value)
    margin = abs(value) * 0.01
    return value - margin, value + margin


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(nice * power for nice in _STEPS if nice * power >= rough * (1 - 1e-9))


def whole_ticks(low: int, high: int, start: float, end: float, count: int = 8) -> Axis:
    """An axis of whole numbers, such as epochs, that begins and ends at the values themselves."""
    step = max(1, round(nice_step(max(high - low, 1) / count)))
    ticks = tuple(float(value) for value in range(low, high + 1, step))
    return Axis(low - 0.5, high + 0.5, start, end, ticks) if low == high else Axis(low, high, start, end, ticks)


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def free_place(candidates: Iterable[Box], taken: list[Box]) -> int:
    """The index of the first box that overlaps none that is taken; 0 where all do."""
    free = (index for index, box in enumerate(candidates) if not any(_overlap(box, other) for other in taken))
    return next(free, 0)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
