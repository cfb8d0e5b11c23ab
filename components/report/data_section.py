"""The report's section on data: sources, rejected rows, anomalies, columns and drift."""

import itertools
from typing import Any

from components.report import drift_charts, fields
from components.report import format as fmt
from components.report.blocks import EMPTY, badge, capped, chips, code, grid, legend, note, section, table
from components.report.markup import Html, element, join

MOST_SOURCES = 40
MOST_COLUMNS = 100
MOST_PLOTS = 60
MOST_PLOTS_OF_REQUESTS = 12
MOST_BINS = 60
MOST_NAMED_BINS = 4


def data_section(ingest: dict[str, Any], validate: dict[str, Any]) -> Html:
    """What came in and what was turned away."""
    return section(
        "data",
        "Data",
        _in_short(ingest),
        _sources(ingest),
        _left_aside(ingest),
        _rejected(ingest),
        _anomalies(validate),
        _columns(validate),
    )


def _in_short(ingest: dict[str, Any]) -> Html:
    rows = fields.number(ingest, "rows")
    if rows is None:
        return EMPTY
    until = fields.text(ingest, "until")
    unlabelled = fields.number(ingest, "unlabelled")
    read = fields.number(ingest, "bytes_read")
    later = fields.number(ingest, "later_files")
    parts = [
        f"{fmt.counted(rows, 'row')} in the snapshot" + (f", data until {fmt.moment(until)}" if until else ""),
        f"{fmt.count(unlabelled)} without a label yet" if unlabelled else "",
        f"{fmt.size(read)} read" if read is not None else "",
        f"{fmt.counted(later, 'later file')} left aside" if later else "",
    ]
    return element("p", "; ".join(part for part in parts if part) + ".")


def _sources(ingest: dict[str, Any]) -> Html:
    sources = fields.rows(ingest, "sources")
    newest = sources[-MOST_SOURCES:]
    rows = [
        [
            join([fields.text(source, "name"), *([" ", badge("new", "good")] if source.get("new") is True else [])]),
            fmt.count(fields.number(source, "rows")),
            fmt.count(fields.number(source, "rejected")),
            code(fmt.digest(fields.text(source, "digest"))),
        ]
        for source in newest
    ]
    listed = table(["Source", "Rows", "Rejected", "Digest"], rows, ["Rows", "Rejected"])
    return join([listed, capped(len(sources), MOST_SOURCES, "source", "the last ones")])


def _left_aside(ingest: dict[str, Any]) -> Html:
    duplicates = fields.rows(ingest, "duplicates")
    pairs = [f"{fields.text(row, 'name')} = {fields.text(row, 'same_as')}" for row in duplicates]
    ignored = chips("Columns not declared, so not read:", fields.names(ingest, "ignored_columns"))
    return join([ignored, chips("Files with the content of another, counted once:", pairs)])


def _rejected(ingest: dict[str, Any]) -> Html:
    reasons = sorted(fields.counts(ingest, "rejected").items(), key=lambda pair: -pair[1])
    if not reasons:
        return note("No row was rejected.") if "rejected" in ingest else EMPTY
    counted = table(
        ["Reason", "Rows"], [[reason, fmt.count(rows)] for reason, rows in reasons[:MOST_SOURCES]], ["Rows"]
    )
    examples = [
        [fields.text(row, "source"), fields.text(row, "line"), fields.text(row, "reason")]
        for row in fields.rows(ingest, "rejected_examples")[:10]
    ]
    shown = table(["For example in", "Line", "Reason"], examples, ["Line"])
    return element("div", element("h3", "Rejected rows"), counted, shown)


def _anomalies(validate: dict[str, Any]) -> Html:
    found = fields.rows(validate, "anomalies")
    rows = [
        [_severity(fields.text(row, "severity")), fields.text(row, "column"), fields.text(row, "what")]
        for row in found[:MOST_COLUMNS]
    ]
    return element("div", element("h3", "Anomalies"), table(["Severity", "Column", "What"], rows)) if rows else EMPTY


def _severity(severity: str) -> Html:
    return badge(severity, "bad" if severity == "error" else "warn")


def _columns(validate: dict[str, Any]) -> Html:
    columns = fields.tables(validate, "columns")
    rows = [
        [
            name,
            fields.text(column, "type"),
            fmt.share(fields.number(column, "missing")),
            fmt.count(fields.number(column, "distinct")),
            *(_measure(column, key) for key in ("min", "mean", "max")),
        ]
        for name, column in list(columns.items())[:MOST_COLUMNS]
    ]
    headers = ["Column", "Type", "Missing", "Distinct", "Min", "Mean", "Max"]
    listed = table(headers, rows, headers[2:])
    if not listed:
        return EMPTY
    cut = capped(len(columns), MOST_COLUMNS, "column", "the first ones")
    return element("details", element("summary", f"Columns ({len(columns)})"), listed, cut)


def _measure(column: dict[str, Any], key: str) -> str:
    value = fields.number(column, key)
    return fmt.moment(value) if fields.text(column, "type") == "timestamp" else fmt.number(value)


def drift_section(validate: dict[str, Any]) -> Html:
    """How far rows, and what the model is asked, moved from what the version in service was trained on."""
    return section("drift", "Drift", _drift_of_rows(validate), _drift_of_requests(fields.table(validate, "requests")))


def _drift_of_rows(validate: dict[str, Any]) -> Html:
    drift = fields.tables(validate, "drift")
    if not drift:
        return _why_no_drift(validate) if "drift" in validate else EMPTY
    return join([_plots(drift, "new rows", MOST_PLOTS), _skipped(validate)])


def _drift_of_requests(requests: dict[str, Any]) -> Html:
    """Of what people ask: new rows with labels come later, and only they can be learned from."""
    drift = fields.tables(requests, "drift")
    if not drift:
        return EMPTY
    over = any(_is_over(column) for column in drift.values())
    asked = fmt.counted(fields.number(requests, "rows"), "logged request")
    drifted = (
        "What the model is asked has drifted from what it learned" if over else "The model is asked what it learned"
    )
    return join(
        [
            element("h3", "What the model is asked"),
            element("p", f"{drifted}: {asked} to version {fields.text(requests, 'version') or '?'}."),
            _plots(drift, "requests", MOST_PLOTS_OF_REQUESTS),
            _never_seen(requests),
            _skipped(requests),
        ]
    )


def _never_seen(requests: dict[str, Any]) -> Html:
    shares = sorted(fields.counts(requests, "unseen").items(), key=lambda pair: -pair[1])
    rows = [[name, fmt.share(share)] for name, share in shares[:MOST_COLUMNS] if share > 0]
    return table(["Asked with texts never seen in training", "Share"], rows, ["Share"])


def _plots(drift: dict[str, dict[str, Any]], what: str, most: int) -> Html:
    """Each column's distributions then and now, the farthest moved first."""
    ordered = sorted(drift.items(), key=lambda pair: -(fields.number(pair[1], "distance") or 0.0))
    largest = max(max(fields.number(column, key) or 0.0 for key in ("distance", "limit")) for column in drift.values())
    over = [name for name, column in ordered if _is_over(column)]
    plots = [_plot(name, column, largest * 1.05) for name, column in ordered[:most]]
    return join(
        [
            chips(f"{len(over)} of {fmt.counted(len(drift), 'column')} over the limit:", over),
            EMPTY if over else element("p", _calm(len(drift))),
            legend(("now-bar", what), ("outline", "what the version in service was trained on"), ("limit", "limit")),
            grid(*plots, kind="plots"),
            capped(len(ordered), most, "column", "those that drifted farthest"),
        ]
    )


def _why_no_drift(validate: dict[str, Any]) -> Html:
    if fields.table(validate, "drift_skipped"):
        return _skipped(validate)
    if fields.text(validate, "decision") == "nothing":
        return note("Not measured: there is nothing new to compare.")
    return note("Nothing to compare with yet: drift is measured against the version in service.")


def _skipped(validate: dict[str, Any]) -> Html:
    skipped = fields.table(validate, "drift_skipped")
    rows = [[fields.line(name), fields.text(skipped, name)] for name in list(skipped)[:MOST_COLUMNS]]
    return table(["Not measured", "Because"], rows)


def _calm(columns: int) -> str:
    measure = "The distance is the Jensen–Shannon divergence: 0 means equal, 1 nothing in common."
    return f"None of {fmt.counted(columns, 'column')} is over its limit. {measure}"


def _is_over(column: dict[str, Any]) -> bool:
    distance, limit = fields.number(column, "distance"), fields.number(column, "limit")
    return distance is not None and limit is not None and distance > limit


def _plot(name: str, column: dict[str, Any], largest: float) -> Html:
    over = _is_over(column)
    distance = fields.number(column, "distance")
    then, now = _rest_summed(fields.numbers(column, "baseline")), _rest_summed(fields.numbers(column, "current"))
    bins, ends = _bins(column, max(len(then), len(now)))
    measured = element("span", fmt.quality(distance) + (" over" if over else ""), class_="n")
    return element(
        "figure",
        element("figcaption", element("h3", name), measured),
        drift_charts.meter(distance or 0.0, fields.number(column, "limit"), largest),
        drift_charts.distribution(f"{name}: shares before and now", bins, ends, then, now, over),
        _missing(column),
        class_="over" if over else None,
    )


def _missing(column: dict[str, Any]) -> Html:
    before, now = (fmt.share(fields.number(column, f"{when}_missing")) for when in ("baseline", "current"))
    return note(f"missing: {before} before, {now} now") if before != now else EMPTY


def _rest_summed(shares: list[float]) -> list[float]:
    kept = [max(share, 0.0) for share in shares]
    return [*kept[: MOST_BINS - 1], sum(kept[MOST_BINS - 1 :])] if len(kept) > MOST_BINS else kept


def _bins(column: dict[str, Any], count: int) -> tuple[list[str], list[str]]:
    """A name for each bin, and the names of the two ends where there is no room for those."""
    edges = [fmt.number(edge) for edge in fields.numbers(column, "edges")]
    if edges:
        is_open = count >= len(edges)
        ends = [f"< {edges[0]}", f"≥ {edges[-1]}"] if is_open else [edges[0], edges[-1]]
        return _ranges(edges, is_open), ends
    labels = [label or "(empty)" for label in fields.names(column, "labels")][:MOST_BINS]
    if count < len(fields.items(column, "labels")):
        labels[-1] = "all others"
    return labels, [] if len(labels) <= MOST_NAMED_BINS else [labels[0], labels[-1]]


def _ranges(edges: list[str], is_open: bool) -> list[str]:
    """Names of the bins between edges, and of those outside of them where the outermost bins are open."""
    inner = [f"{low} to {high}" for low, high in itertools.pairwise(edges)]
    return [f"below {edges[0]}", *inner, f"from {edges[-1]}"] if is_open else inner
