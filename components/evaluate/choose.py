"""Which variants are good enough, which of them is taken, and the sentence that says why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.evaluate.config import Evaluate
from components.evaluate.latency import Speed
from components.evaluate.metrics import HIGHER_IS_BETTER, loss

LATENCY_TIE = 1.05
"""Latencies this near to each other are equal: they are measured, and the machine is never quiet."""


@dataclass
class Variant:
    """What was measured of one variant."""

    recipe: str
    bytes: int
    """Of `model.tflite`."""
    serving_bytes: int
    """Of the whole serving artifact, transform included."""
    metrics: dict[str, float]
    """Empty where a prediction is not finite."""
    speed: Speed
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """What a variant's metric is held against."""

    constant: float
    """The metric of the best constant prediction."""
    variant: float | None
    """The metric of the float32 variant; None where there is none."""
    serving: float | None
    """The metric of the version in service on the same rows; None where there is none to compare with."""


def failures(variant: Variant, metric: str, reference: Reference, evaluate: Evaluate) -> list[str]:
    """Why a variant may not go into service: one sentence for each check that it fails."""
    if not variant.metrics:
        return ["its predictions are not finite"]
    value = variant.metrics[metric]
    found = [
        _threshold_failure(metric, value, reference.constant, evaluate),
        _loss_failure(metric, value, reference.serving, "the version in service", evaluate.max_loss, "max_loss"),
        _loss_failure(
            metric, value, reference.variant, "the float32 variant", evaluate.max_variant_loss, "max_variant_loss"
        ),
        *_limit_failures(variant, evaluate),
    ]
    return [sentence for sentence in found if sentence]


def choose(variants: Sequence[Variant], metric: str, objective: str) -> Variant | None:
    """The cheapest variant without failures; of equally cheap ones the better; None where all fail."""
    passing = [variant for variant in variants if not variant.failures]
    if not passing:
        return None
    costs = [_cost(variant, objective) for variant in passing]
    limit = min(costs) * (LATENCY_TIE if objective == "latency" else 1)
    return best([variant for variant, cost in zip(passing, costs) if cost <= limit], metric)


def best(variants: Sequence[Variant], metric: str) -> Variant:
    """The variant with the best metric; variants without metrics come last."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    return max(variants, key=lambda variant: sign * variant.metrics.get(metric, -sign * float("inf")))


def reason(
    variants: Sequence[Variant], chosen: Variant | None, metric: str, objective: str, serving: dict[str, Any] | None
) -> str:
    """The decision in one sentence.

    Args:
        variants: all of them.
        chosen: one of them, or None.
        metric: the metric that decides.
        objective: size or latency.
        serving: what is known of the version in service: {version, metrics, not_comparable}; None where there is none.
    """
    if chosen is None:
        why = "; ".join(f"{variant.recipe}: {', '.join(variant.failures)}" for variant in variants)
        return f"no variant passes: {why}"
    passing = sum(not variant.failures for variant in variants)
    rank = {"size": "smallest", "latency": "fastest"}[objective]
    place = f"the {rank} of {passing} variants that pass" if passing > 1 else "the only variant that passes"
    if passing < len(variants):
        place += f" ({len(variants)} were tried)"
    cost = _shown_bytes(chosen.bytes) if objective == "size" else f"{chosen.speed.latency_p50_us:.0f} µs"
    value = chosen.metrics[metric]
    return f"{chosen.recipe} ({cost}) is {place}: {metric} {shown(value)}, {_beside(metric, value, serving)}"


def shown(value: float) -> str:
    """A metric for people: four decimals, or four digits where they say more (an error in dollars)."""
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def _beside(metric: str, value: float, serving: dict[str, Any] | None) -> str:
    if serving is None:
        return "and no version is in service"
    name = f"version {serving['version']} in service"
    if not serving["metrics"]:
        return f"not compared with {name}: {serving['not_comparable']}"
    difference = value - serving["metrics"][metric]
    if difference == 0:
        return f"equal to {name}"
    word = "better" if (difference > 0) == HIGHER_IS_BETTER[metric] else "worse"
    return f"{shown(abs(difference))} {word} than {name}"


def _threshold_failure(metric: str, value: float, constant: float, evaluate: Evaluate) -> str | None:
    if evaluate.min_quality is not None:
        if value < evaluate.min_quality:
            return f"{metric} {shown(value)} is below evaluate.min_quality {evaluate.min_quality:g}"
    elif evaluate.max_error is not None:
        if value > evaluate.max_error:
            return f"{metric} {shown(value)} is above evaluate.max_error {evaluate.max_error:g}"
    elif loss(metric, value, constant) >= 0:
        return f"{metric} {shown(value)} is no better than the {shown(constant)} of the best constant prediction"
    return None


def _loss_failure(metric: str, value: float, reference: float | None, name: str, limit: float, key: str) -> str | None:
    if reference is None or loss(metric, value, reference) <= limit:
        return None
    lost = loss(metric, value, reference)
    by = shown(lost) if HIGHER_IS_BETTER[metric] else f"{lost:.2%}"
    worse = f"{metric} {shown(value)} is {by} worse than the {shown(reference)} of {name}"
    return f"{worse}, more than evaluate.{key} {limit:g}"


def _limit_failures(variant: Variant, evaluate: Evaluate) -> list[str]:
    limits, p99_ms = evaluate.limits, variant.speed.latency_p99_us / 1e3
    sentences = []
    if limits.size_bytes is not None and variant.bytes > limits.size_bytes:
        sentences.append(f"{variant.bytes} bytes are more than evaluate.limits.size_bytes {limits.size_bytes}")
    if limits.latency_p99_ms is not None and p99_ms > limits.latency_p99_ms:
        sentences.append(f"{p99_ms:.3g} ms are more than evaluate.limits.latency_p99_ms {limits.latency_p99_ms:g}")
    return sentences


def _cost(variant: Variant, objective: str) -> float:
    return variant.bytes if objective == "size" else variant.speed.latency_p50_us


def _shown_bytes(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
