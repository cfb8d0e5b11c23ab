"""Axes: nice ticks, and from values to places in a drawing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LARGEST = 1e300
_SMALLEST = 1e-300
_LARGEST_ON_LOG = 1e200
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
        span = self.high - self.low
        part = (value - self.low) / span if span else 0.5  # numbers so large that adding to them changes nothing
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick's number, with as many decimals as the ticks' distance needs."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(tick) or 1.0
        if not 1e-6 <= step < 1e9:
            return f"{tick:.3g}"
        decimals = next((n for n in range(8) if math.isclose(round(step, n), step, rel_tol=1e-6)), 8)
        return f"{tick:,.{decimals}f}"


@dataclass(frozen=True)
class LogAxis(Axis):
    """Maps the logarithm: equal ratios are equally far from each other."""

    def __call__(self, value: float) -> float:
        """The place of a value; what lies outside is put on the border."""
        low, high = math.log(self.low), math.log(self.high)
        part = (math.log(max(value, self.low)) - low) / (high - low)
        return self.start + min(part, 1.0) * (self.end - self.start)

    def label(self, tick: float) -> str:
        """A tick's number."""
        return f"{tick:,.6g}" if 1e-6 <= tick < 1e6 else f"{tick:.0e}"


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


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """A logarithmic axis that holds all values, all above 0, with ends and ticks at 1, 2 and 5 times powers of ten.

    Args:
        values: what the axis must hold; at least one.
        start, end: where the axis lies in the drawing.
    """
    held = [min(max(value, 1 / _LARGEST_ON_LOG), _LARGEST_ON_LOG) for value in values]
    first, last = math.floor(math.log10(min(held))), math.ceil(math.log10(max(held))) + 1
    factors = (1.0, 2.0, 5.0) if last - first <= 4 else (1.0,)
    every = math.ceil((last - first) / 8)
    ticks = [factor * 10.0**power for power in range(first, last + every, every) for factor in factors]
    low = max(tick for tick in ticks if tick <= min(held) * (1 + 1e-9))
    high = min(tick for tick in ticks if tick >= max(held) * (1 - 1e-9) and tick > low)
    return LogAxis(low, high, start, end, tuple(tick for tick in ticks if low <= tick <= high))


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


def is_free(box: Box, taken: Iterable[Box]) -> bool:
    """Whether a box overlaps none that is taken."""
    return not any(_overlap(box, other) for other in taken)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
