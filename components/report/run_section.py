"""The report's sections on the run itself: the decision, the key figures, time, lineage and cleanup."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.artifacts import Record
from components.report import charts, fields
from components.report import format as fmt
from components.report.blocks import EMPTY, badge, capped, code, facts, figure, legend, note, section, table
from components.report.decision import Decision
from components.report.figures import Figure
from components.report.markup import Html, element, join
from components.report.steps import CACHED, FAILED, RAN, SKIPPED, STOPPED, Step, details
from components.report.timing import Bar, Timing

LOOKS = {
    "deployed": "good",
    "kept": "good",
    "nothing": "quiet",
    "refused": "warn",
    "failed": "bad",
    "unfinished": "warn",
}
OUTCOME_LOOKS = {RAN: "good", CACHED: "quiet", SKIPPED: "quiet", FAILED: "bad", STOPPED: "bad"}
MOST_FREED = 40


def header(decision: Decision, why: str, name: str, run: str, started_s: float | None) -> Html:
    """The decision in one big sentence, its reason, and which run of which model this is."""
    begun = f"{fmt.moment(started_s)}" if started_s is not None else ""
    return element(
        "header",
        element("p", element("b", name), f" · run {run}", f" · {begun}" if begun else "", class_="eyebrow"),
        element("h1", decision.headline),
        element("p", decision.reason, class_="reason") if decision.reason else EMPTY,
        element("p", decision.after, class_="after") if decision.after else EMPTY,
        note("Why retrain: ", why) if why else EMPTY,
        class_=LOOKS[decision.kind],
    )


def figures(key_figures: Sequence[Figure]) -> Html:
    """The key figures as cards."""
    cards = [
        element("div", element("dt", one.label), element("dd", one.value), element("dd", one.note, class_="note"))
        for one in key_figures
    ]
    return element("dl", *cards, class_="figures")


def time_section(steps: Sequence[Step], spent: Timing) -> Html:
    """When each step ran, what of it was start-up, and what each did."""
    bars = {bar.step: bar for bar in spent.bars}
    spans = [_span(step, bars.get(step.name)) for step in steps]
    parts = [
        ("work", spent.work_s),
        ("process start and imports", spent.startup_s),
        ("between the steps", spent.between_s),
    ]
    sums = ", ".join(f"{fmt.duration(seconds)} {name}" for name, seconds in parts)
    bad = [("work-bad", "failed")] if any(step.outcome in (FAILED, STOPPED) for step in steps) else []
    keys = legend(("startup", "process start, imports"), ("work", "work"), *bad)
    chart = figure("Timeline", charts.timeline("When each step ran", spans, spent.total_s), keys)
    return section(
        "time",
        "Steps and time",
        element(
            "p",
            element("b", fmt.duration(spent.total_s)),
            f" from the first step's start to the last one's end: {sums}.",
        ),
        chart,
        _step_table(steps),
    )


def _span(step: Step, bar: Bar | None) -> charts.Span:
    if bar is None:
        return charts.Span(step.name, 0, 0, 0, "", "", f"{step.name}: {step.words}", _origin(step))
    class_ = "work-bad" if step.outcome in (FAILED, STOPPED) else "work"
    work_s, startup_s = bar.end_s - bar.work_s, bar.work_s - bar.process_s
    tip = f"{step.name}: {fmt.duration(startup_s)} process start and imports, {fmt.duration(work_s)} work"
    return charts.Span(
        step.name, bar.process_s, bar.work_s, bar.end_s, class_, fmt.duration(bar.end_s - bar.process_s), tip
    )


def _origin(step: Step) -> str:
    if step.record is None:
        return step.outcome
    return f"cached, from {fmt.moment(step.record.started_s)}; took {fmt.duration(step.record.seconds)} then"


def _step_table(steps: Sequence[Step]) -> Html:
    headers = ["Step", "Outcome", "What it did", "Start-up", "Work"]
    rows = [[step.name, badge(step.outcome, OUTCOME_LOOKS[step.outcome]), _did(step), *_times(step)] for step in steps]
    return table(headers, rows, ["Start-up", "Work"])


def _times(step: Step) -> tuple[str, str]:
    if step.record is None or step.outcome == CACHED:
        return "", ""
    return fmt.duration(step.record.startup_s), fmt.duration(step.record.seconds)


def _did(step: Step) -> Html:
    if step.record is None or step.outcome != CACHED:
        return join([step.words])
    origin = f"from run {step.record.run}, {fmt.moment(step.record.started_s)}"
    return join([step.words, element("small", origin)])


def lineage_section(records: Mapping[str, Record], run: str) -> Html:
    """What the model was made from: data, settings, code, and the version before."""
    deploy, resolve, preprocess = (details(records, step) for step in ("deploy", "resolve", "preprocess"))
    base, serving = fields.text(resolve, "base"), fields.text(resolve, "serving")
    pairs = [
        ("Version", fields.text(deploy, "version")),
        ("Pointer", fields.text(deploy, "pointer")),
        ("Size of the version", fmt.size(fields.number(deploy, "bytes"))),
        ("In service when the run began", f"version {serving}" if serving else "none" if "serving" in resolve else ""),
        ("Parent", f"version {base}" if base else "none: trained from nothing" if "base" in resolve else ""),
        ("Trained until", fmt.moment(fields.text(preprocess, "trained_until") and preprocess["trained_until"])),
        ("Snapshot", _digest(details(records, "ingest"), "snapshot")),
        ("Settings and training code", _digest(_first(records, "training_digest"), "training_digest")),
        ("Features", _digest(_first(records, "features_digest"), "features_digest")),
        ("Cache generation", fields.text(resolve, "generation")),
        ("Run", run),
    ]
    path = fields.text(deploy, "path")
    return section("lineage", "Lineage", facts([*pairs, ("Path", code(path) if path else "")]), _images(records))


def _first(records: Mapping[str, Record], key: str) -> dict[str, object]:
    """The details of the first step that recorded `key`."""
    return next((details(records, step) for step in records if key in details(records, step)), {})


def _digest(found: Mapping[str, object], key: str) -> str:
    value = fields.text(found, key)
    return element("code", fmt.digest(value), title=value) if value else ""


def _images(records: Mapping[str, Record]) -> Html:
    images = fields.table(_first(records, "images"), "images")
    rows = [[step, code(fields.text(images, step))] for step in sorted(images)[:MOST_FREED]]
    return table(["Code of", "Image"], rows)


def cleanup_section(records: Mapping[str, Record]) -> Html:
    """What was deleted, and why it could be; and why something stays that might go."""
    finish = details(records, "finish")
    notes = [element("p", sentence) for sentence in fields.names(finish, "notes")[:MOST_FREED]]
    if fields.number(finish, "freed_bytes") is None:
        return section("cleanup", "Cleanup", *notes) if notes else EMPTY
    freed = fields.rows(finish, "freed")
    failed = [
        [code(fields.text(row, "path")), fields.text(row, "error")]
        for row in fields.rows(finish, "failed")[:MOST_FREED]
    ]
    rows = [
        [code(fields.text(row, "path")), fields.text(row, "why"), fmt.size(fields.number(row, "bytes"))]
        for row in freed[:MOST_FREED]
    ]
    return section(
        "cleanup",
        "Cleanup",
        element("p", _freed(finish)),
        *notes,
        table(["Deleted", "Why", "Size"], rows, ["Size"]),
        capped(len(freed), MOST_FREED, "place", "the largest ones"),
        table(["Could not be deleted", "Because"], failed),
    )


def _freed(finish: dict[str, Any]) -> str:
    size = fmt.size(fields.number(finish, "freed_bytes"))
    saved, kept = (fields.number(finish, key) for key in ("saved_a_month", "kept"))
    price = f", which saves {fmt.price(saved)} a month" if saved else ""
    runs = f"; {fmt.counted(kept, 'run')} kept" if kept else ""
    return f"{size} freed{price}{runs}."
