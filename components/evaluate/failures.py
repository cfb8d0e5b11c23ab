"""Why a variant may not go into service: each check, and the sentence that says by how much it fails."""

from collections.abc import Iterable
from dataclasses import dataclass

from components.evaluate.bootstrap import Loss
from components.evaluate.config import Evaluate, Limits, loss_keys
from components.evaluate.metrics import HIGHER_IS_BETTER, loss
from components.evaluate.variant import Variant


@dataclass(frozen=True)
class Reference:
    """What a variant's metric is held against."""

    constant: float
    """The metric of the best constant prediction."""
    variant: float | None
    """The metric of the float32 variant; None where there is none."""
    serving: float | None
    """The metric of the version in service on the same rows; None where there is none to compare with."""
    missing: str | None = None
    """Why there is no float32 variant to compare with; None where there is one."""


def failures(variant: Variant, metric: str, reference: Reference, evaluate: Evaluate) -> list[str]:
    """Why a variant may not go into service: one sentence for each check that it fails."""
    if not variant.metrics:
        return ["its predictions are not finite"]
    value = variant.metrics[metric]
    found = [
        _threshold_failure(metric, value, reference.constant, evaluate),
        _service_failure(metric, value, reference.serving, evaluate.max_loss),
        _unjudged(reference.missing, evaluate.limits),
        _loss_failure(metric, value, reference.variant, variant.loss, evaluate.limits.loss),
        _slice_failure(metric, variant, evaluate.limits.slice_loss),
        *_cost_failures(variant, evaluate.limits),
    ]
    return [sentence for sentence in found if sentence]


def shown(value: float) -> str:
    """A metric for people: four decimals, or four digits where they say more (an error in dollars)."""
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def _threshold_failure(metric: str, value: float, constant: float, evaluate: Evaluate) -> str | None:
    least, most = evaluate.min_quality, evaluate.max_error
    if least is not None:
        if value < least:
            return f"{metric} {shown(value)} is below evaluate.min_quality {least:g} by {shown(least - value)}"
    elif most is not None:
        if value > most:
            return f"{metric} {shown(value)} is above evaluate.max_error {most:g} by {shown(value - most)}"
    elif loss(metric, value, constant) >= 0:
        return f"{metric} {shown(value)} is no better than the {shown(constant)} of the best constant prediction"
    return None


def _service_failure(metric: str, value: float, reference: float | None, limit: float) -> str | None:
    if reference is None or loss(metric, value, reference) <= limit:
        return None
    lost = loss(metric, value, reference)
    worse = f"{metric} {shown(value)} is {_worse(metric, lost)} than the {shown(reference)} of the version in service"
    return f"{worse}, more than evaluate.max_loss {limit:g} by {_amount(metric, lost - limit)}"


def _unjudged(missing: str | None, limits: Limits) -> str | None:
    keys = loss_keys(limits)
    if missing is None or not keys:
        return None
    remedy = f"mend that, or set {'both' if keys[1:] else 'it'} to null"
    return f"{' and '.join(keys)} cannot be judged, for {missing}; {remedy}"


def _loss_failure(
    metric: str, value: float, reference: float | None, lost: Loss | None, limit: float | None
) -> str | None:
    if reference is None or lost is None or limit is None or lost.high <= limit:
        return None
    worse = (
        f"{metric} {shown(value)} is {_worse(metric, lost.value)} than the {shown(reference)} of the float32 variant"
    )
    return f"{worse}, {_interval(metric, lost, 'loss', limit)}{_remedy(lost, limit, 'raise the limit')}"


def _slice_failure(metric: str, variant: Variant, limit: float | None) -> str | None:
    over = [part for part in variant.slice_losses if limit is not None and part.lost.high > limit]
    if limit is None or not over:
        return None
    worst = max(over, key=lambda part: (part.lost.low > limit, part.lost.high))  # what is sure is told first
    others = len(over) - 1
    also = f" (and {others} other slice{'s' if others > 1 else ''} may lose too much)" if others else ""
    where = f"{metric} where {worst.column} is {worst.value} ({worst.rows:,} rows)"
    worse = f"{where} is {_worse(metric, worst.lost.value)} than that of the float32 variant"
    remedy = _remedy(worst.lost, limit, "raise the limit or evaluate.min_slice_rows")
    return f"{worse}, {_interval(metric, worst.lost, 'slice_loss', limit)}{also}{remedy}"


def _interval(metric: str, lost: Loss, key: str, limit: float) -> str:
    verb, end = ("lies", lost.low) if lost.low > limit else ("ends", lost.high)
    low, high, excess = (_amount(metric, amount) for amount in (lost.low, lost.high, end - limit))
    where = f"{verb} above evaluate.limits.{key} {limit:g} by {excess}"
    return f"and the 95 % interval of the loss, {low} to {high}, {where}"


def _remedy(lost: Loss, limit: float, other: str) -> str:
    """What to do where rows are too few to tell whether a variant loses too much."""
    return "" if lost.low > limit else f": too few rows to tell; hold out more rows, or {other}"


def _worse(metric: str, lost: float) -> str:
    return f"{_amount(metric, abs(lost))} {'worse' if lost >= 0 else 'better'}"


def _amount(metric: str, lost: float) -> str:
    if not HIGHER_IS_BETTER[metric]:
        return f"{lost:.2%}"
    return f"{lost:.4f}" if abs(lost) >= 0.001 or lost == 0 else f"{lost:.2g}"


def _cost_failures(variant: Variant, limits: Limits) -> list[str]:
    size, speed = variant.size, variant.speed
    measures: Iterable[tuple[str, float | None, str, float | None]] = (
        ("model.tflite has {} bytes", size.bytes, "size_bytes", limits.size_bytes),
        ("it adds {} bytes of memory", size.memory_bytes, "memory_bytes", limits.memory_bytes),
        ("its p99 latency is {} ms", speed.latency_p99_us / 1e3, "latency_p99_ms", limits.latency_p99_ms),
        ("a million predictions cost {}", variant.cost_per_million, "cost_per_million", limits.cost_per_million),
    )
    found = [_over(said, value, key, limit) for said, value, key, limit in measures if limit is not None]
    least, rate = limits.rows_per_s, speed.rows_per_s
    if least is not None and rate < least:
        short = f"less than evaluate.limits.rows_per_s {_number(least)} by {_number(least - rate)}"
        found.append(f"it predicts {_number(rate)} rows/s, {short}")
    return [sentence for sentence in found if sentence]


def _over(said: str, value: float | None, key: str, limit: float) -> str | None:
    if value is None:
        return f"evaluate.limits.{key} cannot be judged, for it could not be measured here; set it to null"
    if value <= limit:
        return None
    return (
        f"{said.format(_number(value))}, more than evaluate.limits.{key} {_number(limit)} by {_number(value - limit)}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
