"""The limits of `evaluate.limits`: their names, how they are written, and what a variant has of each."""

from collections.abc import Callable
from dataclasses import dataclass

from components.report import format as fmt
from components.report.quality import Quality, Variant


@dataclass(frozen=True)
class Limit:
    """One limit: what it is about, and whether it is the least or the most that is allowed."""

    name: str
    measured: Callable[[Variant], float | None]
    written: Callable[[float | None], str]
    least: bool = False


def _loss(variant: Variant) -> float | None:
    """The upper end of the interval, which is what the limit is held against."""
    return variant.loss.high if variant.loss else None


def _slice_loss(variant: Variant) -> float | None:
    return variant.worst.loss.high if variant.worst else None


def _p99_ms(variant: Variant) -> float | None:
    return None if variant.p99_us is None else variant.p99_us / 1e3


def limits(found: Quality) -> dict[str, Limit]:
    """The limits that the run had, by their key."""

    def lost(value: float | None) -> str:
        return fmt.lost(value, found.higher_is_better)

    def milliseconds(value: float | None) -> str:
        return fmt.latency(None if value is None else value * 1e3)

    known = {
        "loss": Limit("Loss, upper end", _loss, lost),
        "slice_loss": Limit("Loss on a slice, upper end", _slice_loss, lost),
        "size_bytes": Limit("Size", lambda variant: variant.size, fmt.size),
        "latency_p99_ms": Limit("Latency p99", _p99_ms, milliseconds),
        "rows_per_s": Limit("Rows a second", lambda variant: variant.rows_per_s, fmt.count, least=True),
        "memory_bytes": Limit("Memory", lambda variant: variant.memory, fmt.size),
        "cost_per_million": Limit("Cost of a million", lambda variant: variant.cost, fmt.price),
    }
    return {key: limit for key, limit in known.items() if key in found.limits}


def broken(variant: Variant, found: Quality) -> set[str]:
    """The keys of the limits that a variant breaks by its figures; what was not measured breaks none."""
    return {key for key, limit in limits(found).items() if _breaks(limit, variant, found.limits[key])}


def _breaks(limit: Limit, variant: Variant, allowed: float) -> bool:
    value = limit.measured(variant)
    if value is None:
        return False
    return value < allowed if limit.least else value > allowed
