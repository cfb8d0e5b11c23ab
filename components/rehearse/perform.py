"""One performance before the real server: everything is asked in three passes, timed and checked."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.artifacts import Question
from components.rehearse.config import Rehearse
from components.rehearse.judge import Check, Figures, check
from components.rehearse.questions import messages
from components.rehearse.replay import Replay, replay
from components.serve.launch import ServerProcess

BATCH = 64
BATCHES = 128
WARM_UP = 100


@dataclass(frozen=True)
class Performance:
    """What was measured, and what went wrong."""

    figures: Figures
    failures: list[str]
    largest_difference: float | None = None


@dataclass(frozen=True)
class _Pass:
    instances: int
    replayed: Replay
    checked: Check

    @property
    def per_s(self) -> float:
        return self.instances / self.replayed.seconds


def perform(
    server: ServerProcess, address: str, questions: Sequence[Question], rows: Sequence[Question], config: Rehearse
) -> Performance:
    """Asks everything, in three passes, and measures.

    After a warm-up, one request of one instance at a time gives the latency; the same on all connections gives the
    requests per second; requests of 64 instances on all connections give the instances per second. Every answer is
    checked. Once an answer was wrong or missing, nothing more is asked.

    Args:
        server: ready.
        address: where it answers requests in the V1 protocol.
        questions: one or more.
        rows: those of them that may share a request: held-out rows, for 64 recorded ones may be larger than a request.
        config: connections and the tolerance.
    """
    singles = [[question] for question in questions]
    plan = (
        (singles[:WARM_UP], 1),
        (singles, 1),
        (singles, config.concurrency),
        (_batches(rows), config.concurrency),
    )
    passes: list[_Pass] = []
    for groups, connections in plan:
        passes.append(_pass(address, groups, connections, config.tolerance))
        if passes[-1].checked.failures:
            break
    failures = passes[-1].checked.failures
    figures = Figures(start_s=server.start_s) if failures else _figures(server, passes)
    return Performance(figures, failures, max(one.checked.largest_difference for one in passes))


def _batches(questions: Sequence[Question]) -> list[list[Question]]:
    endless = itertools.cycle(questions)
    return [list(itertools.islice(endless, BATCH)) for _ in range(BATCHES)]


def _pass(address: str, groups: Sequence[Sequence[Question]], connections: int, tolerance: float) -> _Pass:
    replayed = replay(address, messages(groups, address), connections)
    return _Pass(sum(map(len, groups)), replayed, check(groups, replayed, tolerance))


def _figures(server: ServerProcess, passes: Sequence[_Pass]) -> Figures:
    _, lone, all_connections, batches = passes
    latencies_ms = [answer.seconds * 1e3 for answer in lone.replayed.answers if answer]
    p50_ms, p99_ms = np.quantile(latencies_ms, [0.5, 0.99]).tolist()
    return Figures(
        latency_p50_ms=p50_ms,
        latency_p99_ms=p99_ms,
        requests_per_s=all_connections.per_s,
        instances_per_s=batches.per_s,
        memory_bytes=server.memory_bytes(),
        start_s=server.start_s,
    )
