"""Whether the server's answers are right, and its figures within the limits."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from components.artifacts import Question
from components.rehearse.config import Rehearse
from components.rehearse.replay import Answer, Replay

SHOWN_CHARACTERS = 200
BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class Figures:
    """What the server costs; None where it could not be measured."""

    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    """Of a lone request of one instance."""
    requests_per_s: float | None = None
    """Of one instance each, on all connections."""
    instances_per_s: float | None = None
    """In requests of 64 instances, on all connections."""
    memory_bytes: int | None = None
    """Resident, after all requests."""
    start_s: float | None = None


@dataclass(frozen=True)
class Check:
    """What is wrong with the answers to one replay."""

    failures: list[str]
    """The first wrong answer, and what broke the replay off, one sentence each."""
    largest_difference: float
    """As a share of max(1, |x|); of the answers that hold numbers."""


def check(groups: Sequence[Sequence[Question]], replayed: Replay, tolerance: float) -> Check:
    """Compares every answer with the one expected.

    Args:
        groups: the questions in each request.
        replayed: the answers, in the same order.
        tolerance: largest difference allowed.
    """
    judged = [_judge(group, answer, tolerance) for group, answer in zip(groups, replayed.answers) if answer]
    wrong = [sentence for sentence, _ in judged if sentence]
    failures = wrong[:1]
    if len(wrong) > 1:
        failures = [f"{wrong[0]} ({len(wrong):,} of {len(groups):,} answers are wrong)"]
    if replayed.broken is not None:
        unanswered = next(group for group, answer in zip(groups, replayed.answers) if answer is None)
        failures.append(f"the server failed when asked {unanswered[0].name}: {replayed.broken}")
    return Check(failures, max((difference for _, difference in judged), default=0.0))


def _judge(group: Sequence[Question], answer: Answer, tolerance: float) -> tuple[str | None, float]:
    """What is wrong with one answer, and its largest difference."""
    if answer.status != 200:
        words = answer.body.decode(errors="replace")[:SHOWN_CHARACTERS]
        return f"the server answers {answer.status} to {group[0].name}: {words}", 0.0
    expected = np.array([question.expected for question in group], np.float64)
    given = _predictions(answer.body)
    if given is None or given.shape != expected.shape:
        words = answer.body.decode(errors="replace")[:SHOWN_CHARACTERS]
        return f"the server answers {group[0].name} with other than {len(group)} predictions: {words}", 0.0
    difference = np.abs(given - expected) / np.maximum(1.0, np.abs(expected))
    by_question = difference.reshape(len(group), -1).max(axis=1)
    bad = np.flatnonzero(~(by_question <= tolerance))
    largest = float(np.nan_to_num(by_question, nan=0.0, posinf=0.0).max())
    return (_differs(group[bad[0]], given[bad[0]], tolerance) if len(bad) else None), largest


def _predictions(body: bytes) -> np.ndarray | None:
    try:
        return np.array(json.loads(body)["predictions"], np.float64)
    except (ValueError, KeyError, TypeError):
        return None


def _differs(question: Question, given: np.ndarray, tolerance: float) -> str:
    said = f"{question.name} is answered {given.tolist()}, but {question.source} {question.expected}"
    return f"{said}; rehearse.tolerance allows a difference of {tolerance:g}"


def broken_limits(figures: Figures, limits: Rehearse) -> list[str]:
    """One sentence for each limit that is broken; what could not be measured breaks none."""
    memory_mb = None if figures.memory_bytes is None else figures.memory_bytes / BYTES_PER_MB
    most: Iterable[tuple[str, float | None, str, str, float | None]] = (
        ("p50 latency", figures.latency_p50_ms, "ms", "latency_p50_ms", limits.latency_p50_ms),
        ("p99 latency", figures.latency_p99_ms, "ms", "latency_p99_ms", limits.latency_p99_ms),
        ("resident memory", memory_mb, "MB", "memory_mb", limits.memory_mb),
        ("the time from start to ready", figures.start_s, "s", "start_s", limits.start_s),
    )
    sentences = [
        f"{what} is {value:.3g} {unit}; rehearse.{key} allows {limit:g}"
        for what, value, unit, key, limit in most
        if value is not None and limit is not None and value > limit
    ]
    rate, least = figures.requests_per_s, limits.min_requests_per_s
    if rate is not None and least is not None and rate < least:
        sentences.append(f"throughput is {rate:,.0f} requests/s; rehearse.min_requests_per_s demands {least:g}")
    return sentences
