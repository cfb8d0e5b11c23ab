"""How long engines take for a batch: they take turns, and each figure is the best round's median."""

import time
from collections.abc import Callable, Mapping

import numpy as np

ROUND_S = 0.15
WARM_UP = 5


def medians_us(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median time of a call in microseconds, of the best round of each.

    Args:
        calls: by name.
        rounds: in each, every call has its turn of ROUND_S.
    """
    found = [{name: _median_us(call) for name, call in calls.items()} for _ in range(rounds)]
    return {name: min(times[name] for times in found) for name in calls}


def _median_us(call: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        call()
    times_ns: list[int] = []
    until_ns = time.perf_counter_ns() + int(ROUND_S * 1e9)
    while time.perf_counter_ns() < until_ns or len(times_ns) < WARM_UP:
        start_ns = time.perf_counter_ns()
        call()
        times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1e3
