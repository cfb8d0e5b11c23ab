"""The Pareto pictures of the variants: quality against size, latency and cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.report import format as fmt
from components.report.blocks import figure, note
from components.report.limits import limits
from components.report.markup import Html
from components.report.pareto import Place, dominated, front
from components.report.pareto_chart import CHOSEN, DOMINATED, FRONT, REFUSED, Level, Mark, Picture, pareto_chart
from components.report.quality import Quality, Variant
from components.report.variants_table import MOST_VARIANTS

FAR = 2.0
"""A variant that loses so many times more than is allowed stands at the border, or all others would be one mark."""
LONGEST_NAME = 28
NEAR = 1.5
"""A limit of cost is drawn where it is at most so many times larger or smaller than all figures."""


@dataclass(frozen=True)
class Cost:
    """What a picture shows quality against."""

    title: str
    label: str
    unit: float
    """The axis's unit, in the unit of `figure`."""
    figure: Callable[[Variant], float | None]
    limit: str
    """The key of its limit."""
    limit_unit: float = 1.0
    """The limit's unit, in the unit of `figure`."""
    limit_name: str = "limit"
    limited: Callable[[Variant], float | None] = lambda _: None
    """The figure that the limit is about, where it is another."""


def pictures(found: Quality) -> list[Html]:
    """A picture for each cost that was measured."""
    return [_picture(cost, shown, found) for cost in _costs(found) if (shown := _shown(cost, found))]


def _costs(found: Quality) -> list[Cost]:
    size_unit, size = fmt.byte_unit(max((variant.size or 0.0 for variant in found.variants), default=0.0))
    time_unit, time = fmt.latency_unit(max((variant.p50_us or 0.0 for variant in found.variants), default=0.0))
    latency = f"median latency of one row, {time_unit}"
    return [
        Cost("size", f"size, {size_unit}", size, lambda one: one.size, "size_bytes"),
        Cost(
            "latency",
            latency,
            time,
            lambda one: one.p50_us,
            "latency_p99_ms",
            1e3,
            "limit of p99",
            lambda one: one.p99_us,
        ),
        Cost("cost", "cost of a million predictions", 1.0, lambda one: one.cost, "cost_per_million"),
    ]


def _shown(cost: Cost, found: Quality) -> list[tuple[Variant, Place]]:
    """The variants of which both figures are known, with their places."""
    return [
        (variant, (value / cost.unit, variant.quality))
        for variant in found.variants[:MOST_VARIANTS]
        if (value := cost.figure(variant)) is not None and variant.quality is not None
    ]


def _picture(cost: Cost, shown: Sequence[tuple[Variant, Place]], found: Quality) -> Html:
    cost_limit, quality_limit, serving = _cost_limit(cost, found), _quality_limit(found), _serving(found)
    if cost_limit and not _near_costs(cost_limit.value, [_limited(cost, variant, place) for variant, place in shown]):
        cost_limit = None
    passing = [place for variant, place in shown if variant.passed]
    marks = [_mark(variant, place, passing, found, cost if cost_limit else None) for variant, place in shown]
    metric = fmt.metric(found.metric)
    picture = Picture(
        title=f"{metric} against {cost.title}",
        x_label=cost.label,
        y_label=metric + ("" if found.higher_is_better else ", lower is better"),
        marks=marks,
        front=front(passing, found.higher_is_better),
        higher_is_better=found.higher_is_better,
        cost_limit=cost_limit,
        quality_limit=_if_near(quality_limit, marks),
        level=_if_near(serving, marks),
    )
    left_out = [] if cost_limit else [_cost_limit(cost, found)]
    left_out += [] if picture.quality_limit else [quality_limit]
    left_out += [] if picture.level else [serving]
    return figure(f"Quality and {cost.title}", pareto_chart(picture), _outside(left_out))


def _outside(limits: Sequence[Level | None]) -> Html:
    names = ", ".join(limit.name for limit in limits if limit)
    return note(f"Outside the picture: {names}" if names else "")


def _limited(cost: Cost, variant: Variant, place: Place) -> float:
    """What the limit is held against, in the axis's unit."""
    figure = cost.limited(variant)
    return place[0] if figure is None else figure / cost.unit


def _near_costs(value: float, figures: Sequence[float]) -> bool:
    return min(figures) / NEAR <= value <= max(figures) * NEAR


def _if_near(level: Level | None, marks: Sequence[Mark]) -> Level | None:
    """The level if it is no farther from the marks than they are from each other."""
    values = [value for mark in marks for value in (mark.y, *(mark.bar or ()))]
    low, high = min(values), max(values)
    if level is None or low == high or 2 * low - high <= level.value <= 2 * high - low:
        return level
    return None


def _cost_limit(cost: Cost, found: Quality) -> Level | None:
    known = limits(found).get(cost.limit)
    if known is None:
        return None
    allowed = found.limits[cost.limit]
    return Level(f"{cost.limit_name} {known.written(allowed)}", allowed * cost.limit_unit / cost.unit)


def _quality_limit(found: Quality) -> Level | None:
    value = found.after_loss(found.limits.get("loss"))
    if value is None:
        return None
    return Level(f"limit: {fmt.lost(found.limits['loss'], found.higher_is_better)} lost to float32", value)


def _serving(found: Quality) -> Level | None:
    if found.serving is None:
        return None
    return Level(f"version {fmt.clipped(found.serving_version, 12)} in service", found.serving)


def _mark(variant: Variant, place: Place, passing: Sequence[Place], found: Quality, limited: Cost | None) -> Mark:
    x, y = place
    held = _held(y, found)
    reach = _limited(limited, variant, place) if limited else x
    return Mark(
        fmt.shortened(variant.recipe, LONGEST_NAME) if held == y else _far_name(variant, found),
        x,
        held,
        _state(variant, place, passing, found),
        _tip(variant, found),
        _bar(variant, found),
        reach if reach != x else None,
    )


def _far_name(variant: Variant, found: Quality) -> str:
    """The name of what stands at the border, with its true quality and an arrow to where that lies."""
    arrow = "↓" if found.higher_is_better else "↑"
    return f"{fmt.shortened(variant.recipe, LONGEST_NAME - 8)} {arrow} {fmt.quality(variant.quality)}"


def _state(variant: Variant, place: Place, passing: Sequence[Place], found: Quality) -> str:
    if variant is found.chosen:
        return CHOSEN
    if not variant.passed:
        return REFUSED
    return DOMINATED if dominated(place, passing, found.higher_is_better) else FRONT


def _held(value: float, found: Quality) -> float:
    """The quality at which something is drawn: what is far worse than the limit stands at the border."""
    worst = found.after_loss(FAR * found.limits.get("loss", 0.0)) if found.limits.get("loss") else None
    if worst is None:
        return value
    return max(value, worst) if found.higher_is_better else min(value, worst)


def _bar(variant: Variant, found: Quality) -> tuple[float, float] | None:
    if variant.loss is None:
        return None
    ends = found.after_loss(variant.loss.low), found.after_loss(variant.loss.high)
    if ends[0] is None or ends[1] is None:
        return None
    return _held(ends[0], found), _held(ends[1], found)


def _tip(variant: Variant, found: Quality) -> str:
    measured = f"{variant.recipe}: {fmt.metric(found.metric)} {fmt.quality(variant.quality)}, {fmt.size(variant.size)}"
    costs = f", {fmt.price(variant.cost)} a million" if variant.cost is not None else ""
    return "; ".join([f"{measured}, {fmt.latency(variant.p50_us)}{costs}", *variant.failures])
