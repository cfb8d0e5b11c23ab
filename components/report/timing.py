"""Where a run's time went: work, process start, and the rest between the steps."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.artifacts import Record
from components.report import fields


@dataclass(frozen=True)
class Bar:
    """When a step's process started, when its work began and when it ended: seconds since the run's first moment."""

    step: str
    process_s: float
    work_s: float
    end_s: float


@dataclass(frozen=True)
class Timing:
    """A run's time in seconds; `work_s + startup_s + between_s == total_s`."""

    bars: tuple[Bar, ...]
    total_s: float
    work_s: float
    startup_s: float
    """Interpreter, KFP and imports of the steps' processes, where no other step worked meanwhile."""
    between_s: float
    """No step's process ran: the local runner or the cluster was at it."""


def timing(records: Mapping[str, Record], run: str) -> Timing:
    """Measures the steps that ran in this run; what came from the cache took no time."""
    own = [record for record in records.values() if record.run == run and fields.finite(record.started_s) is not None]
    first_s = min((record.started_s - _startup_s(record) for record in own), default=0.0)
    bars = tuple(sorted((_bar(record, first_s) for record in own), key=lambda bar: bar.process_s))
    total_s = max((bar.end_s for bar in bars), default=0.0)
    work_s = covered([(bar.work_s, bar.end_s) for bar in bars])
    busy_s = covered([(bar.process_s, bar.end_s) for bar in bars])
    return Timing(bars, total_s, work_s, busy_s - work_s, total_s - busy_s)


def _startup_s(record: Record) -> float:
    return max(fields.finite(record.startup_s) or 0.0, 0.0)


def _bar(record: Record, first_s: float) -> Bar:
    work_s = record.started_s - first_s
    return Bar(
        record.step, work_s - _startup_s(record), work_s, work_s + max(fields.finite(record.seconds) or 0.0, 0.0)
    )


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of spans: what runs at the same time counts once."""
    length = 0.0
    reached = float("-inf")
    for start, end in sorted(spans):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length
