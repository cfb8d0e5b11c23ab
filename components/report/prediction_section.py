"""The report's section on the bulk prediction with the new version."""

from typing import Any

from components.report import fields
from components.report import format as fmt
from components.report.blocks import EMPTY, capped, code, facts, section, table
from components.report.markup import Html, join

MOST_REASONS = 40


def prediction_section(predict: dict[str, Any]) -> Html:
    """What was predicted and where it lies, and what could not be read; nothing where there was no source."""
    rows = fields.number(predict, "rows")
    if rows is None:
        return EMPTY
    rate, skipped = fields.number(predict, "rows_per_s"), fields.number(predict, "skipped_shards")
    shards = fmt.count(fields.number(predict, "shards"))
    pairs = [
        ("Rows", fmt.count(rows)),
        ("Rows a second", fmt.count(rate)),
        ("Time", fmt.duration(fields.number(predict, "seconds"))),
        ("Files", f"{shards}, {fmt.count(skipped)} of them there already" if skipped else shards),
        ("Size", fmt.size(fields.number(predict, "bytes"))),
        ("Version", fields.text(predict, "version")),
        ("Source", _path(predict, "source")),
        ("Output", _path(predict, "output")),
    ]
    return section("prediction", "Bulk prediction", facts(pairs), _bad(predict), _absent(predict))


def _path(predict: dict[str, Any], key: str) -> str:
    path = fields.text(predict, key)
    return code(path) if path else ""


def _bad(predict: dict[str, Any]) -> Html:
    reasons = sorted(fields.counts(predict, "bad").items(), key=lambda pair: -pair[1])
    rows = [[reason, fmt.count(count)] for reason, count in reasons[:MOST_REASONS]]
    cut = capped(len(reasons), MOST_REASONS, "reason", "the most frequent ones")
    return join([table(["Rows that could not be read", "Rows"], rows, ["Rows"]), cut])


def _absent(predict: dict[str, Any]) -> Html:
    absent = fields.table(predict, "absent")
    rows = [[code(fields.line(path)), ", ".join(fields.names(absent, path))] for path in list(absent)[:MOST_REASONS]]
    cut = capped(len(absent), MOST_REASONS, "file", "the first ones")
    return join([table(["File", "Columns that it has not, counted as missing"], rows), cut])
