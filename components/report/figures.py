"""A run's key figures, as both the report and the terminal show them."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.artifacts import Record
from components.report import fields
from components.report import format as fmt
from components.report.quality import Quality, Variant, quality
from components.report.steps import CACHED, details, outcome
from components.report.timing import timing


@dataclass(frozen=True)
class Figure:
    """One key figure with a note that puts it into proportion."""

    label: str
    value: str
    note: str = ""


def key_figures(records: Mapping[str, Record], run: str) -> list[Figure]:
    """Quality, variant, size, latency, data and time, as far as the records tell."""
    found = quality(records)
    shown = found.chosen or found.best
    figures = [*_variant_figures(found, shown)] if shown else []
    return [*figures, *_data_figures(records), _time_figure(records, run)]


def _variant_figures(found: Quality, shown: Variant) -> list[Figure]:
    passed = sum(variant.passed for variant in found.variants)
    note = f"{passed} of {len(found.variants)} variants passed"
    name = Figure("Variant", shown.recipe, note) if found.chosen else Figure("Variant", "none", note)
    slow = f"p99 {fmt.latency(shown.p99_us)}, one row" if shown.p99_us is not None else "one row"
    return [
        Figure(fmt.metric(found.metric) or "Quality", fmt.quality(shown.quality), _against_serving(found, shown)),
        name,
        Figure("Size", fmt.size(shown.size), _against_float32(found, shown)),
        Figure("Latency p50", fmt.latency(shown.p50_us), slow),
    ]


def _against_serving(found: Quality, shown: Variant) -> str:
    of = "" if found.chosen else f"{shown.recipe}: "
    if found.serving is None or shown.quality is None:
        return of + "nothing in service to compare with"
    change = shown.quality - found.serving
    better = "equal to" if change == 0 else "better than" if (change > 0) == found.higher_is_better else "worse than"
    return f"{of}{fmt.difference(change)}, {better} version {found.serving_version} ({fmt.quality(found.serving)})"


def _against_float32(found: Quality, shown: Variant) -> str:
    full = next((variant.size for variant in found.variants if variant.recipe == "float32"), None)
    if not full or shown.size is None or shown.recipe == "float32":
        return ""
    return f"{fmt.share(shown.size / full)} of float32"


def _data_figures(records: Mapping[str, Record]) -> list[Figure]:
    rows = fields.number(details(records, "ingest"), "rows")
    new = fields.number(details(records, "validate"), "new_rows")
    serving = fields.text(details(records, "resolve"), "serving")
    since = f" since version {serving}" if serving else ""
    if rows is None:
        return []
    return [Figure("Rows", fmt.count(rows), f"{fmt.count(new)} new{since}" if new is not None else "")]


def _time_figure(records: Mapping[str, Record], run: str) -> Figure:
    spent = timing(records, run)
    cached = sum(outcome(record, run) == CACHED for record in records.values())
    note = f"{fmt.duration(spent.work_s)} of it work"
    return Figure(
        "Time", fmt.duration(spent.total_s), note + (f", {fmt.counted(cached, 'step')} cached" if cached else "")
    )
