"""The report's section on quality: metrics, calibration and slices."""

from collections.abc import Mapping
from typing import Any

from components.report import charts, fields
from components.report import format as fmt
from components.report.blocks import EMPTY, capped, figure, grid, legend, note, section, table
from components.report.markup import Html, element, join
from components.report.quality import Quality, Variant
from components.report.variants_table import MOST_VARIANTS, named

MOST_SLICES = 60


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
    variants = [[named(variant, found), *_values(variant.metrics, names)] for variant in found.variants[:MOST_VARIANTS]]
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
    overall = (found.chosen or found.best or Variant()).quality
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
    rare = f"Not judged, because rare or of one class: {', '.join(left_out[:MOST_SLICES])}." if left_out else ""
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
