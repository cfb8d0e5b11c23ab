"""How fast variants predict, from the values of a request to the prediction, in one thread.

All variants are measured in turns, several rounds of them, and the median of the rounds is taken, so that a moment in
which the machine is busy with something else neither counts nor falls on one variant alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from components.features.values import Row
from components.predictor.predictor import Predictor

ROUNDS = 5
WARM_UP_CALLS = 20
ROUND_S = 0.08
"""Time of one measurement in one round; some thousand calls of a tabular model."""
BATCH = 256
MOST_ROWS = 256


@dataclass(frozen=True)
class Speed:
    """How fast one variant is."""

    latency_p50_us: float
    latency_p99_us: float
    """Of a batch of one row, in microseconds."""
    rows_per_s: float
    """In batches of 256 rows."""


def measure(predictors: Sequence[Predictor], rows: Sequence[Row]) -> list[Speed]:
    """Measures all predictors on the same rows.

    Takes about 0.8 s each.

    Args:
        predictors: share the columns that they read.
        rows: one or more; the first 256 are used.
    """
    single = [[row] for row in rows[:MOST_ROWS]]
    batch = list(islice(cycle(rows), BATCH))
    rounds = [[_round(predictor, single, batch) for predictor in predictors] for _ in range(ROUNDS)]
    return [Speed(*np.median(figures, axis=0).tolist()) for figures in zip(*rounds)]


def _round(predictor: Predictor, single: list[list[Row]], batch: list[Row]) -> tuple[float, float, float]:
    p50_us, p99_us = np.quantile(_times_us(predictor, single), [0.5, 0.99])
    return float(p50_us), float(p99_us), BATCH / (float(np.median(_times_us(predictor, [batch]))) / 1e6)


def _times_us(predictor: Predictor, batches: list[list[Row]]) -> list[float]:
    source = cycle(batches)
    for _ in range(WARM_UP_CALLS):
        predictor.predict_rows(next(source))
    times_us: list[float] = []
    deadline_ns = time.perf_counter_ns() + int(ROUND_S * 1e9)
    while not times_us or time.perf_counter_ns() < deadline_ns:
        rows = next(source)
        start_ns = time.perf_counter_ns()
        predictor.predict_rows(rows)
        times_us.append((time.perf_counter_ns() - start_ns) / 1e3)
    return times_us
