"""Which of the variants that pass is taken, and the sentence that says why."""

from collections.abc import Sequence
from typing import Any

from components.evaluate.failures import shown
from components.evaluate.metrics import HIGHER_IS_BETTER
from components.evaluate.variant import NotMade, Variant

TIE = {"size": 1.0, "latency": 1.05, "cost": 1.05}
"""Costs this near to each other are equal: times are measured, and the machine is never quiet."""


def choose(variants: Sequence[Variant], metric: str, objective: str) -> Variant | None:
    """The cheapest variant without failures; of equally cheap ones the better; None where all fail."""
    passing = [variant for variant in variants if not variant.failures]
    if not passing:
        return None
    costs = [_cost(variant, objective) for variant in passing]
    limit = min(costs) * TIE[objective]
    return best([variant for variant, cost in zip(passing, costs) if cost <= limit], metric)


def best(variants: Sequence[Variant], metric: str) -> Variant | None:
    """The variant with the best metric; variants without metrics come last; None where there is none."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    return max(variants, key=lambda variant: sign * variant.metrics.get(metric, -sign * float("inf")), default=None)


def reason(
    variants: Sequence[Variant | NotMade],
    chosen: Variant | None,
    metric: str,
    objective: str,
    serving: dict[str, Any] | None,
) -> str:
    """The decision in one sentence.

    Args:
        variants: all of them.
        chosen: one of them, or None.
        metric: the metric that decides.
        objective: size, latency or cost.
        serving: what is known of the version in service: {version, metrics, not_comparable}; None where there is none.
    """
    if chosen is None:
        why = "; ".join(f"{variant.recipe}: {', '.join(variant.failures)}" for variant in variants)
        return f"no variant passes: {why}"
    passing = sum(not variant.failures for variant in variants)
    rank = {"size": "smallest", "latency": "fastest", "cost": "cheapest"}[objective]
    place = f"the {rank} of {passing} variants that pass" if passing > 1 else "the only variant that passes"
    if passing < len(variants):
        place += f" ({len(variants)} were tried)"
    cost, value = _shown_cost(chosen, objective), chosen.metrics[metric]
    return f"{chosen.recipe} ({cost}) is {place}: {metric} {shown(value)}, {_beside(metric, value, serving)}"


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


def _cost(variant: Variant, objective: str) -> float:
    if objective == "size":
        return variant.size.bytes
    return variant.speed.latency_p50_us if objective == "latency" else variant.cost_per_million


def _shown_cost(variant: Variant, objective: str) -> str:
    if objective == "size":
        return _shown_bytes(variant.size.bytes)
    if objective == "latency":
        return f"{variant.speed.latency_p50_us:.0f} µs"
    return f"{variant.cost_per_million:.3g} for a million predictions"


def _shown_bytes(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
