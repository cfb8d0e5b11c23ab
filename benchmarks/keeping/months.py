"""Twelve monthly retrainings of models/flights: what lies on the disk, with cleanup and without.

Each month is a run of the command line with `--until` its last day; then everything grows older by that month, and the
cleanup command frees what may go. So a year passes in minutes: the times of files, run records and KFP's folders are
moved back, and nothing else is. What the disk would hold without cleanup is computed: what lies there, and all that was
ever freed.

What is reachable is checked after each month, and not with cleanup's own rules: every version that is left is whole by
its checksums; those that a pointer names have their base, their snapshot and its partitions; and the one in service
predicts.
"""

import calendar
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.table import Table

from benchmarks.claims import Claim, at_least, at_most
from components import artifacts
from components.artifacts import Snapshot, write_bytes
from components.errors import UserError
from components.predictor.predictor import Predictor
from components.report.charts import Series, line_chart
from components.report.html import STYLE
from components.report.markup import Html, element
from components.store import ModelStore, verify

ROOT = Path(__file__).parents[2]
MODEL, NAME = "models/flights", "flights"
SETTINGS = ("--set", "preprocess.heldout_days=14", "--set", "preprocess.validation_days=7")
"""January alone is too short for the model's own."""
YEAR = 2013
DAY_S = 24 * 60 * 60
KFP_FOLDER = re.compile(r"(evergreen-.*-)(\d{4}(?:-\d\d){5}-\d{6})")
KFP_TIME = "%Y-%m-%d-%H-%M-%S-%f"
MOST_GROWTH = 1.25
"""Of the disk, from its largest in the third quarter of the year to that in the last, beside what the data grew by."""
LEAST_FREED = 0.3
MIB = 2**20


@dataclass(frozen=True)
class Month:
    """The work directory after a month's run and cleanup; bytes are without the source's files."""

    month: int
    bytes: int
    data_bytes: int
    """Of the newest snapshot's partitions, which grow with the data."""
    freed_bytes: int
    """By this month's cleanups."""
    version: int | None
    lost: tuple[str, ...]
    """What is reachable and not whole."""


def measure(work: Path) -> tuple[list[Table], list[Claim]]:
    """Lives through a year, and writes `<work>/months.html`.

    Args:
        work: the work directory; it should not exist yet.
    """
    months = [_lived(work, month) for month in range(1, 13)]
    _write_picture(months, work / "months.html")
    third, last = (max(_own(month) for month in months[start : start + 3]) for start in (6, 9))
    freed = sum(month.freed_bytes for month in months)
    claims = [
        at_most("disk beside the data, last quarter of the year against the one before", last / third, MOST_GROWTH),
        at_least("share of all that was written that cleanup freed", freed / (freed + months[-1].bytes), LEAST_FREED),
        at_most("reachable artifacts lost", sum(len(month.lost) for month in months), 0),
    ]
    return [_table(months, work / "months.html")], claims


def _own(month: Month) -> int:
    return month.bytes - month.data_bytes


def _lived(work: Path, month: int) -> Month:
    """A month: its run, its passing, its cleanup."""
    days = calendar.monthrange(YEAR, month)[1]
    before = _logged_bytes(work)
    until = f"{YEAR}-{month:02}-{days}"
    _command(["pipeline.py", "run", MODEL, "--work", str(work), "--until", until, *SETTINGS])
    _grow_older(work, days)
    _command(["-m", "components.cleanup", "--work", str(work), "--model", NAME])
    serving = ModelStore(work, NAME).pointed("serving")
    return Month(
        month,
        _bytes(work) - _bytes(work / "source"),
        sum(_bytes(path.parent) for path in _newest_snapshot(work).paths()),
        _logged_bytes(work) - before,
        serving.number if serving else None,
        tuple(_lost(work)),
    )


def _command(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _grow_older(work: Path, days: int) -> None:
    """Moves back in time what lies in a work directory but for its source."""
    for folder in sorted((work / "pipeline").glob("evergreen-*")):
        if (match := KFP_FOLDER.fullmatch(folder.name)) is not None:
            then = datetime.strptime(match[2], KFP_TIME) - timedelta(days=days)
            folder.rename(folder.with_name(match[1] + then.strftime(KFP_TIME)))
    for path in sorted((work / "runs").glob("*/run.json")):
        told = artifacts.read_json(path)
        artifacts.write_json(path, {**told, "started_s": told["started_s"] - days * DAY_S})
    for path in _files(work):
        status = path.lstat()
        os.utime(path, (status.st_atime, status.st_mtime - days * DAY_S), follow_symlinks=False)


def _files(work: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(work):
        if not Path(folder).is_relative_to(work / "source"):
            yield from (Path(folder, name) for name in names)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _logged_bytes(work: Path) -> int:
    """What all cleanups together freed, by their log."""
    path = work / "cleanup" / NAME / "log.jsonl"
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return sum(line.get("bytes", 0) for line in lines)


def _newest_snapshot(work: Path) -> Snapshot:
    manifests = (work / "data" / NAME / "snapshots").glob("*/snapshot.json")
    return Snapshot.read(max(manifests, key=lambda path: path.stat().st_mtime).parent)


def _lost(work: Path) -> Iterator[str]:
    """What somebody who follows the pointers would miss."""
    store = ModelStore(work, NAME)
    for version in store.versions():
        try:
            verify(version)
        except UserError as error:
            yield str(error)
    serving = store.pointed("serving")
    for version in filter(None, (serving, store.pointed("previous"), store.pointed("candidate"))):
        base = version.lineage["base"]
        if base is not None and store.find(base) is None:
            yield f"version {base}, the base of {version.number}"
        snapshot = Snapshot.read(work / "data" / NAME / "snapshots" / version.lineage["snapshot"])
        yield from (str(path) for path in snapshot.paths() if not path.exists())
    if serving is not None:
        try:
            Predictor.load(serving.path / artifacts.SERVING)  # which tries a row
        except UserError as error:
            yield str(error)


def _table(months: list[Month], picture: Path) -> Table:
    table = Table("month", "version", "on disk, MiB", "of it data", "freed, MiB", "without cleanup, MiB", "lost")
    table.title = "twelve monthly retrainings of models/flights"
    table.caption = f"picture: {picture}"
    freed = 0
    for month in months:
        freed += month.freed_bytes
        figures = (month.bytes, month.data_bytes, month.freed_bytes, month.bytes + freed)
        cells = (f"{value / MIB:,.0f}" for value in figures)
        table.add_row(str(month.month), str(month.version), *cells, ", ".join(month.lost) or "none")
    return table


def _write_picture(months: list[Month], path: Path) -> None:
    freed = 0
    points: dict[str, list[tuple[float, float]]] = {"now": [], "then": []}
    for month in months:
        freed += month.freed_bytes
        for class_, value in (("now", month.bytes), ("then", month.bytes + freed)):
            points[class_].append((month.month, value / MIB))
    names = {"now": "with cleanup", "then": "without"}
    series = [Series(names[class_], found, class_) for class_, found in points.items()]
    chart = line_chart("Disk over a year of monthly retrainings", series, "month", "MiB on disk", None)
    legend = element("p", "line: with cleanup; dashed: without")
    style = element("style", Html(STYLE.read_text(encoding="utf-8")))
    body = element("body", element("main", element("h1", "Disk over a year"), legend, chart))
    page = element("html", element("head", style), body, lang="en")
    write_bytes(path, f"<!doctype html>\n{page}".encode())
