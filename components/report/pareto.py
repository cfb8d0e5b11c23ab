"""Dominance of two figures: what it costs, of which less is better, and how good it is."""

from collections.abc import Sequence

Place = tuple[float, float]
"""Cost and quality."""


def dominated(place: Place, others: Sequence[Place], higher_is_better: bool) -> bool:
    """Whether another one costs no more and is no worse, and differs in one of both."""
    return any(other != place and _as_good(other, place, higher_is_better) for other in others)


def _as_good(one: Place, other: Place, higher_is_better: bool) -> bool:
    return one[0] <= other[0] and (one[1] >= other[1] if higher_is_better else one[1] <= other[1])


def front(places: Sequence[Place], higher_is_better: bool) -> list[Place]:
    """The places that none other dominates, cheapest first."""
    return sorted({place for place in places if not dominated(place, places, higher_is_better)})
