"""Latency tells a slow predictor from a fast one, and is in the units that it says."""

import time

import numpy as np
import pytest

from components.evaluate import latency


class Sleeper:
    def __init__(self, call_s: float) -> None:
        self.call_s, self.sizes = call_s, set()

    def predict_rows(self, rows) -> np.ndarray:
        self.sizes.add(len(rows))
        time.sleep(self.call_s)
        return np.zeros(len(rows), np.float32)


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_measures_one_row_and_full_batches(monkeypatch, rows):
    monkeypatch.setattr(latency, "ROUND_S", 0.01)
    monkeypatch.setattr(latency, "WARM_UP_CALLS", 1)
    slow, fast = Sleeper(0.05), Sleeper(0.0005)
    of_slow, of_fast = latency.measure([slow, fast], [(0.0,)] * rows)
    assert slow.sizes == fast.sizes == {1, 256}
    assert of_slow.latency_p99_us >= of_slow.latency_p50_us >= 50_000
    assert of_slow.latency_p50_us > of_fast.latency_p50_us >= 500
    assert of_slow.rows_per_s <= 256 / 0.05
    assert of_fast.rows_per_s > of_slow.rows_per_s
