"""What a model's server counts: plain numbers that the event loop adds to, read when Prometheus asks.

Only the lines of the request log are counted by its thread too, with `add_lines`.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field

from components.serve.histogram import Histogram

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


def _rows() -> Histogram:
    return Histogram(ROWS)


@dataclass
class Counters:
    """Of one model, through all its versions."""

    latency: Histogram = field(default_factory=_seconds)
    """Seconds from a request's headers to its answer, of the requests that were answered with a prediction."""
    batch: Histogram = field(default_factory=_rows)
    """Rows in one call of the model."""
    instances: int = 0
    """Rows in the requests that were answered."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were not, by kind."""
    cache_hits: int = 0
    cache_misses: int = 0
    switches: int = 0
    """Versions put into service after the first."""
    load_failures: int = 0
    """Versions that were refused when they should go into service."""
    logged: int = 0
    log_dropped: int = 0
    """Instances sampled for the request log and not written: the disk was slow or failed."""
    _lines: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_lines(self, logged: int = 0, dropped: int = 0) -> None:
        """Counts instances that were sampled for the request log; any thread may."""
        with self._lines:
            self.logged += logged
            self.log_dropped += dropped
