"""The report's section on the rehearsal: what the real server made of the new model, limit by limit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.report import fields
from components.report import format as fmt
from components.report.blocks import EMPTY, badge, code, facts, note, section, table
from components.report.markup import Html, element

MOST_FAILURES = 20


@dataclass(frozen=True)
class _Measure:
    """One row of the table; `key` and `limit` are those of the record."""

    title: str
    key: str
    limit: str
    shown: Callable[[float | None], str]
    is_least: bool = False
    limit_scale: float = 1.0


def _milliseconds(value: float | None) -> str:
    return fmt.latency(None if value is None else value * 1e3)


def _difference(value: float | None) -> str:
    return fmt.NONE if value is None else f"{value:.2g}"


MEASURES = (
    _Measure("Latency p50", "latency_p50_ms", "latency_p50_ms", _milliseconds),
    _Measure("Latency p99", "latency_p99_ms", "latency_p99_ms", _milliseconds),
    _Measure("Requests a second", "requests_per_s", "min_requests_per_s", fmt.count, is_least=True),
    _Measure("Instances a second, 64 a request", "instances_per_s", "", fmt.count),
    _Measure("Resident memory", "memory_bytes", "memory_mb", fmt.megabytes, limit_scale=1e6),
    _Measure("Start to ready", "start_s", "start_s", fmt.duration),
    _Measure("Largest difference of an answer", "largest_difference", "tolerance", _difference),
)


def rehearsal_section(rehearse: dict[str, Any]) -> Html:
    """The decision, what was asked, and each figure beside its limit."""
    decision = fields.text(rehearse, "decision")
    if not decision:
        return EMPTY
    verdict = badge(decision, "good" if decision == "fit" else "bad")
    log = fields.text(rehearse, "server_log")
    failures = [element("li", fields.line(failure)) for failure in fields.items(rehearse, "failures")[:MOST_FAILURES]]
    return section(
        "rehearsal",
        "Rehearsal",
        element("p", verdict, " ", _asked(rehearse)),
        element("ul", *failures) if failures else EMPTY,
        facts([("What the server said", code(log) if failures and log else "")]),
        _unfit_requests(rehearse),
        table(["What", "Measured", "Limit", ""], [_row(rehearse, one) for one in MEASURES], ["Measured", "Limit"]),
        note("Latency is that of a lone request of one instance over HTTP, once warm, with the server's cache off."),
    )


def _asked(rehearse: dict[str, Any]) -> str:
    rows = fmt.counted(fields.number(rehearse, "rows"), "held-out row")
    recorded = fields.number(rehearse, "recorded")
    more = f" and {fmt.counted(recorded, 'recorded request')}" if recorded else ""
    return f"The server was started on the chosen variant and asked {rows}{more}."


def _unfit_requests(rehearse: dict[str, Any]) -> Html:
    unfit = fields.number(rehearse, "unfit_recorded")
    if not unfit:
        return EMPTY
    example = fields.text(rehearse, "unfit_example")
    words = f" {fmt.counted(unfit, 'recorded request')} no longer fit the columns and would be refused: {example}."
    return element("p", badge("mind", "warn"), words)


def _row(rehearse: dict[str, Any], one: _Measure) -> list[str]:
    value, limit = fields.number(rehearse, one.key), fields.number(fields.table(rehearse, "limits"), one.limit)
    if limit is None:
        return [one.title, one.shown(value), "", ""]
    limit *= one.limit_scale
    bound = f"at {'least' if one.is_least else 'most'} {one.shown(limit)}"
    return [one.title, one.shown(value), bound, _verdict(value, limit, one.is_least)]


def _verdict(value: float | None, limit: float, is_least: bool) -> Html:
    if value is None:
        return badge("not measured", "quiet")
    kept = value >= limit if is_least else value <= limit
    return badge("kept", "good") if kept else badge("broken", "bad")
