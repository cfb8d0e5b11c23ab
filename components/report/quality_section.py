"""The report's sections on quality and on the variants."""

from collections.abc import Mapping
from typing import Any

from components.report import charts, fields
from components.report import format as fmt
from components.report.blocks import EMPTY, badge, capped, figure, grid, legend, note, section, table
from components.report.markup import Html, element, join
from components.report.quality import Quality, Variant

MOST_SLICES = 60
MOST_VARIANTS = 40


def quality_section(evaluate: dict[str, Any], found: Quality) -> Html:
    """Metrics of all variants and of the version in service, calibration and slices."""
    return section(
        "quality",
        "Quality",
        _in_short(evaluate),
        _metrics(found),
        note(_not_comparable(evaluate)),
        grid(_calibration(evaluate), *_slices(evaluate, found)),
        _slices_cut(evaluate),
    )


def _in_short(evaluate: dict[str, Any]) -> Html:
    rows = fields.number(evaluate, "rows")
    if rows is None:
        return EMPTY
    base_rate = fields.number(evaluate, "base_rate")
    skew = fields.table(evaluate, "skew")
    difference = fields.number(skew, "largest_difference")
    checked = f"{fmt.counted(fields.number(skew, 'rows'), 'row')} through training's transform and the server's:"
    parts = [
        f"Measured on {fmt.counted(rows, 'held-out row')}, as the variants will be served.",
        f" Base rate {fmt.share(base_rate)}." if base_rate is not None else "",
        f" {checked} largest difference {fmt.number(difference)}." if difference is not None else "",
    ]
    return element("p", *(part for part in parts if part))


def _metrics(found: Quality) -> Html:
    names = _metric_names(found)
    variants = [[_name(variant, found), *_values(variant.metrics, names)] for variant in found.variants[:MOST_VARIANTS]]
    others: list[list[str]] = []
    if found.serving_version or found.serving_metrics:
        others.append([f"in service: version {found.serving_version}", *_values(found.serving_metrics, names)])
    if found.constant is not None and names:
        others.append(["best constant prediction", fmt.quality(found.constant), *[fmt.NONE] * (len(names) - 1)])
    titles = [fmt.metric(name) for name in names]
    return table(["Variant", *titles], variants + others, titles)


def _not_comparable(evaluate: dict[str, Any]) -> str:
    reason = fields.text(fields.table(evaluate, "serving"), "not_comparable")
    return f"The version in service could not be compared: {reason}." if reason else ""


def _metric_names(found: Quality) -> list[str]:
    """The metric that decides first, then all others in the order of their first appearance."""
    sources = [*(variant.metrics for variant in found.variants), found.serving_metrics]
    names = {name: None for metrics in sources for name in metrics}
    return sorted(names, key=lambda name: name != found.metric)[:12]


def _values(metrics: Mapping[str, float], names: list[str]) -> list[str]:
    return [fmt.quality(metrics.get(name)) for name in names]


def _name(variant: Variant, found: Quality) -> Html:
    if variant is found.chosen:
        return join([element("b", variant.recipe), " ", badge("chosen", "good")])
    return join([variant.recipe, *([] if variant.passed else [" ", badge("refused", "bad")])])


def _calibration(evaluate: dict[str, Any]) -> Html:
    bins = [
        (predicted, observed, fields.number(row, "rows") or 0.0)
        for row in fields.rows(evaluate, "calibration")
        if (predicted := fields.number(row, "predicted")) is not None
        and (observed := fields.number(row, "observed")) is not None
    ]
    if not bins:
        return EMPTY
    chart = charts.calibration("Observed against predicted", sorted(bins[:200]), "predicted", "observed")
    key = legend(("dot", "rows of one bin; the larger the more"), ("level-key", "perfect"))
    return figure("Calibration", chart, key)


def _slices(evaluate: dict[str, Any], found: Quality) -> list[Html]:
    slices = _largest_slices(evaluate)
    overall = (found.chosen or found.best or _NOBODY).quality
    values = [
        value
        for row in slices
        for key in ("metric", "serving_metric")
        if (value := fields.number(row, key)) is not None
    ]
    values += [overall] if overall is not None else []
    columns = dict.fromkeys(fields.text(row, "column") for row in slices)
    return [
        _slice_plot(column, [row for row in slices if fields.text(row, "column") == column], values, overall, found)
        for column in columns
    ]


_NOBODY = Variant("", None, None, None, None, None, False, (), {})


def _largest_slices(evaluate: dict[str, Any]) -> list[dict[str, Any]]:
    slices = fields.rows(evaluate, "slices")
    kept = sorted(slices, key=lambda row: -(fields.number(row, "rows") or 0.0))[:MOST_SLICES]
    return sorted(kept, key=lambda row: fields.text(row, "column"))


def _slices_cut(evaluate: dict[str, Any]) -> Html:
    left_out = [
        f"{fmt.counted(values, 'value')} of {column} ({fmt.counted(fields.number(one, 'rows'), 'row')})"
        for column, one in fields.tables(evaluate, "slices_left_out").items()
        if (values := fields.number(one, "values"))
    ]
    rare = f"Left out, because rare or of one class only: {', '.join(left_out[:MOST_SLICES])}." if left_out else ""
    cut = capped(len(fields.rows(evaluate, "slices")), MOST_SLICES, "slice", "those with the most rows")
    return join([note(rare), cut])


def _slice_plot(
    column: str, rows: list[dict[str, Any]], values: list[float], overall: float | None, found: Quality
) -> Html:
    dots = [_dots(row, found) for row in rows]
    chart = charts.dot_plot(f"{fmt.metric(found.metric)} by {column}", dots, values, overall)
    serving = [("diamond", "in service")] if any(dot.then is not None for dot in dots) else []
    return figure(f"{fmt.metric(found.metric)} by {column}", chart, legend(("dot", "this run"), *serving))


def _dots(row: dict[str, Any], found: Quality) -> charts.Dots:
    name, now, then = fields.text(row, "value"), fields.number(row, "metric"), fields.number(row, "serving_metric")
    before = f", in service {fmt.quality(then)}" if then is not None else ""
    rows = fmt.counted(fields.number(row, "rows"), "row")
    return charts.Dots(
        name or "(empty)", now, then, f"{name}: {fmt.metric(found.metric)} {fmt.quality(now)}{before}, {rows}"
    )


def variants_section(evaluate: dict[str, Any], found: Quality) -> Html:
    """Every variant's quality against its size and its latency, and why it was chosen or refused."""
    if not found.variants:
        return EMPTY
    objective = fields.text(evaluate, "objective")
    picked = f"Chosen for the smallest {objective} among those that pass." if objective and found.chosen else ""
    return section(
        "variants",
        "Variants",
        element("p", picked) if picked else EMPTY,
        legend(*_scatter_keys(found)),
        grid(_size_plot(found), _latency_plot(found)),
        _costs(found),
        _failures(found),
        capped(len(found.variants), MOST_VARIANTS, "variant", "the first ones"),
    )


def _scatter_keys(found: Quality) -> list[tuple[str, str]]:
    chosen = [("ring-key", "chosen")] if found.chosen else []
    refused = [("cross-key", "refused")] if not all(variant.passed for variant in found.variants) else []
    return [*chosen, ("dot", "passed"), *refused]


def _size_plot(found: Quality) -> Html:
    unit, factor = fmt.byte_unit(max((variant.size or 0.0 for variant in found.variants), default=0.0))
    return _plot(
        found, {variant.recipe: (variant.size or 0.0) / factor for variant in found.variants}, "Size", f"size, {unit}"
    )


def _latency_plot(found: Quality) -> Html:
    unit, factor = fmt.latency_unit(max((variant.p50_us or 0.0 for variant in found.variants), default=0.0))
    places = {
        variant.recipe: (variant.p50_us or 0.0) / factor for variant in found.variants if variant.p50_us is not None
    }
    return _plot(found, places, "Latency", f"median latency of one row, {unit}")


def _plot(found: Quality, places: dict[str, float], title: str, x_label: str) -> Html:
    points = [
        charts.Point(
            variant.recipe, places[variant.recipe], variant.quality, _shape(variant, found), _tip(variant, found)
        )
        for variant in found.variants[:MOST_VARIANTS]
        if variant.quality is not None and variant.recipe in places
    ]
    if not points:
        return EMPTY
    level = (f"in service: version {found.serving_version}", found.serving) if found.serving is not None else None
    direction = "" if found.higher_is_better else ", lower is better"
    chart = charts.scatter(
        f"{fmt.metric(found.metric)} against {title.lower()}",
        points,
        x_label,
        fmt.metric(found.metric) + direction,
        level,
    )
    return figure(f"Quality and {title.lower()}", chart)


def _shape(variant: Variant, found: Quality) -> str:
    return "ring" if variant is found.chosen else "dot" if variant.passed else "cross"


def _tip(variant: Variant, found: Quality) -> str:
    measured = f"{variant.recipe}: {fmt.metric(found.metric)} {fmt.quality(variant.quality)}, {fmt.size(variant.size)}"
    return "; ".join([f"{measured}, {fmt.latency(variant.p50_us)}", *variant.failures])


def _costs(found: Quality) -> Html:
    headers = ["Variant", fmt.metric(found.metric) or "Quality", "Size", "Latency p50", "p99", "Rows/s"]
    rows = [
        [
            _name(variant, found),
            fmt.quality(variant.quality),
            fmt.size(variant.size),
            fmt.latency(variant.p50_us),
            fmt.latency(variant.p99_us),
            fmt.count(variant.rows_per_s),
        ]
        for variant in found.variants[:MOST_VARIANTS]
    ]
    return table(headers, rows, headers[1:])


def _failures(found: Quality) -> Html:
    refused = [variant for variant in found.variants[:MOST_VARIANTS] if not variant.passed]
    if not refused:
        return EMPTY
    reasons = [
        element("li", element("b", variant.recipe), ": ", "; ".join(variant.failures[:10]) or "no reason recorded")
        for variant in refused
    ]
    return element("div", element("h3", "Why not"), element("ul", *reasons))
