"""Counting into buckets without locks: only the event loop counts, and a count costs a search among a few bounds."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts of values by upper bounds, as Prometheus wants them."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Starts at zero.

        Args:
            bounds: upper bounds, ascending; the bucket above the last is implied.
        """
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound as text, and how many values do not exceed it; the last bound is `+Inf`."""
        found, sum_so_far = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts):
            sum_so_far += count
            found.append((bound, float(sum_so_far)))
        return found
