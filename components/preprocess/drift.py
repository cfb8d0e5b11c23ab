"""How far the new rows have moved away from the constants that a warm start keeps. Without TensorFlow.

All drifts are in deviations of the rows that the constants were learned from, so that one limit serves for all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from components.features.declaration import Bounds, Moments
from components.features.numeric import CONSTANT_SPREAD

FEWEST_VALUES = 100
"""With fewer new values, chance alone moves a mean or a spread: no drift is measured."""
LARGEST_SHARE = 1 - 1e-9


@dataclass(frozen=True)
class Drift:
    """The drift of one feature's constants, or the label's."""

    name: str
    deviations: float
    words: str
    """What moved, and by how much."""


def of_moments(name: str, base: Moments, mean: float, std: float) -> Drift:
    """The shift of the mean in deviations, or the logarithm of the deviations' ratio where that is larger.

    A number that was constant is not scaled, so that its deviation counts as 1; one that is constant now tells nothing
    about the spread.

    Args:
        name: of the feature.
        base: its constants.
        mean: of the new values.
        std: of the new values.
    """
    varied = base.std > CONSTANT_SPREAD * abs(base.mean)
    deviation = base.std if varied else 1.0
    shift = abs(mean - base.mean) / deviation
    ratio = std / deviation if std > CONSTANT_SPREAD * abs(mean) else 1.0
    spread = abs(math.log(ratio)) if varied else max(0.0, math.log(ratio))
    if shift >= spread:
        return Drift(name, shift, f"the mean of {name} moved from {base.mean:.6g} to {mean:.6g}")
    return Drift(name, spread, f"the deviation of {name} went from {deviation:.6g} to {std:.6g}")


def of_bounds(name: str, base: Bounds, below: Sequence[float], up_to: Sequence[float]) -> Drift:
    """The shift of a normal distribution that moves as many rows over a bound as lie on its wrong side now.

    A bound that is the i-th to k-th of n quantiles had at most i/(n+1) of the rows below it, and at least k/(n+1) below
    it or equal to it.

    Args:
        name: of the feature.
        base: its constants.
        below: for each bound the share of the new values below it.
        up_to: for each bound the share of the new values below it or equal to it.
    """
    quantiles = base.quantiles or (1,) * len(base.bounds)
    buckets = sum(quantiles) + 1
    moved = 0.0 if quantiles else 1.0  # no bounds: there were no values
    passed = 0
    for equal, less, at_most in zip(quantiles, below, up_to):
        moved = max(moved, less - (passed + 1) / buckets, (passed + equal) / buckets - at_most)
        passed += equal
    deviations = 2 * NormalDist().inv_cdf((1 + min(moved, LARGEST_SHARE)) / 2)
    return Drift(name, deviations, f"{moved:.0%} of the values of {name} moved over a bound of its buckets")


def largest(drifts: Sequence[Drift]) -> Drift | None:
    """The one with the most deviations; None where nothing was measured."""
    return max(drifts, key=lambda drift: drift.deviations, default=None)
