"""Predicts a data set in bulk, restartably, with the version that went into service.

Written to a folder: `part-*-of-*.parquet`, the key columns and the predictions, in the order of the rows; `_bad/`,
under the same names, rows that cannot be read (`source`, `line`, `reason`, `row`); `_manifest.json`, before the first
shard: exactly what they are made of; `_summary.json`, after the last. Each file appears whole or not at all, and equal
inputs give equal bytes: a call that was killed is repeated, and finds what it finished.

Each shard tells by itself what it is, in its Parquet metadata: `evergreen.version`, the version that predicted it, and
`evergreen.bad`, the number of its unreadable rows by reason, as JSON. `line` counts rows, not lines of text: those of
Parquet from 1, those of CSV from 2, after the header, without blank lines; a row of several lines counts once.
"""

import contextlib
import fcntl
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import artifacts
from components.errors import UserError
from components.predict.bad_rows import too_many
from components.predict.config import Predict, PredictConfig
from components.predict.cores import cores
from components.predict.files import writable
from components.predict.inputs import find
from components.predict.job import Job, plan
from components.predict.output import brought
from components.predict.score import BAD, ERRORS, Counts, read_counts
from components.storage.address import Address, joined
from components.storage.open import open_storage
from components.store import Version, on_disk

MANIFEST, SUMMARY, LATEST = "_manifest.json", "_summary.json", "latest.json"
log = logging.getLogger(__name__)
Watch = Callable[[Job, Path], contextlib.AbstractContextManager[None]]
"""Shows the progress of a job in its folder, while the block runs."""


@dataclass(frozen=True)
class Outcome:
    """What a call did."""

    folder: Path
    rows: int
    """Predictions in the folder."""
    bad: dict[str, int]
    """Unreadable rows by reason."""
    shards: int
    skipped_shards: int
    """Shards that an earlier call had finished."""
    bytes: int
    seconds: float
    rows_per_s: int | None
    """Of the rows of this call's shards; None where it had none to write."""
    absent: dict[str, tuple[str, ...]]
    """Path → columns that the file has not and that counted as missing."""


def predict(version: Address, config: PredictConfig, name: str, work: Address) -> None:
    """Predicts what `predict.source` names, into a folder of its own for each version and each state of the rows.

    Record: {version, source, output, rows, bad, shards, skipped_shards, rows_per_s, bytes, seconds, absent}. Writes
    also `latest.json` beside that folder: {folder, version, rows}.

    Args:
        version: the version's address in the model store.
        config: what to predict, and where that goes.
        name: the model's name.
        work: the work directory.

    Raises:
        UserError: the rows cannot be predicted, or too many of them are bad.
    """
    with artifacts.recorded("predict", work) as details:
        folder = on_disk(version)
        number = int(artifacts.read_json(folder / artifacts.LINEAGE)["version"])
        options = config.predict
        details.update(version=number, source=options.source)
        if options.source is None:
            raise UserError("predict.source is null; name the files whose rows are to be predicted")
        job = make_job(name, Version(number, folder), options.source.replace("{work}", str(work)), options)
        output = options.output.replace("{work}", str(work)).replace("{name}", name)
        where = joined(output, job.name)
        with brought(where, [MANIFEST, BAD], [SUMMARY]) as place:
            outcome = run(job, place, options)
        latest = {"folder": job.name, "version": number, "rows": outcome.rows}
        open_storage(output).write(LATEST, artifacts.json_bytes(latest))
        details.update(describe(outcome), output=str(where))


def make_job(name: str, version: Version, source: str, options: Predict) -> Job:
    """Plans the prediction of what a source names.

    Raises:
        UserError: as `plan`; or the source names no file.
    """
    return plan(name, version, find(source), options.columns, options.rows_per_shard)


def run(job: Job, folder: Path, options: Predict, watch: Watch | None = None) -> Outcome:
    """Writes the shards of a job that are not there yet.

    Args:
        job: what to predict.
        folder: where it goes: new, empty, or begun by the same job.
        options: bad rows allowed, workers, Beam's options.
        watch: shows the progress.

    Raises:
        UserError: the folder holds something else, cannot be written to or another call writes to it, an input changed
            since it was planned or cannot be read, or too many rows of a file are bad.
    """
    began_s = time.perf_counter()
    with writable(folder), _claimed(folder, job):
        before = {shard for shard in job.shards if (folder / shard).exists()}
        left = [(shard, unit) for shard, unit in job.shards.items() if shard not in before]
        if left:
            from components.predict.beam_run import run_shards  # Beam takes two seconds to import

            with watch(job, folder) if watch else contextlib.nullcontext():
                run_shards(job, left, folder, options.max_bad_rows, options.workers or cores(), options.beam)
            _check_unchanged(job, folder, [shard for shard, _ in left])
        counts = _checked_counts(job, folder)
        _check_bad_rows(job, counts, options.max_bad_rows, folder)
        seconds = time.perf_counter() - began_s
        fresh = sum(unit.rows for _, unit in left)
        outcome = _outcome(job, folder, counts, len(before), seconds, round(fresh / seconds) if left else None)
        summary = {"rows": outcome.rows, "bad": outcome.bad, "shards": outcome.shards, "absent": outcome.absent}
        artifacts.write_json(folder / SUMMARY, summary)
        return outcome


def describe(outcome: Outcome) -> dict[str, Any]:
    """What the step's record holds of it."""
    details = {key: value for key, value in vars(outcome).items() if key != "folder"}
    return {"output": str(outcome.folder), **details}


def _outcome(
    job: Job, folder: Path, counts: dict[str, Counts], skipped: int, seconds: float, rows_per_s: int | None
) -> Outcome:
    bad: Counter[str] = Counter()
    for one in counts.values():
        bad.update(one.bad)
    return Outcome(
        folder=folder,
        rows=sum(one.rows for one in counts.values()),
        bad=dict(bad.most_common()),
        shards=len(counts),
        skipped_shards=skipped,
        bytes=sum(one.bytes for one in counts.values()),
        seconds=seconds,
        rows_per_s=rows_per_s,
        absent=job.absent,
    )


@contextlib.contextmanager
def _claimed(folder: Path, job: Job) -> Iterator[None]:
    """Holds a folder for a job, without what a killed call left half done; the lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another call predicts into {folder} at this moment; wait for it") from None
        _check_manifest(folder, job)
        (folder / SUMMARY).unlink(missing_ok=True)
        shutil.rmtree(folder / ERRORS, ignore_errors=True)
        for leftover in [*folder.glob(".*.tmp"), *(folder / BAD).glob(".*.tmp")]:
            leftover.unlink(missing_ok=True)
        yield


def _check_manifest(folder: Path, job: Job) -> None:
    path = folder / MANIFEST
    if path.exists():
        known = _read_manifest(path)
        if known != job.manifest:
            other = _difference(known, job.manifest)
            raise UserError(f"{folder} holds {other}; give another folder, or delete that one")
        return
    if any(not one.name.startswith(".") for one in folder.iterdir()):
        raise UserError(f"{folder} holds other files than predictions; give a new or an empty folder")
    artifacts.write_json(path, job.manifest)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(artifacts.read_json(path))
    except (ValueError, TypeError):
        told = f"{path} is damaged, so what its folder holds cannot be told"
        raise UserError(f"{told}; give another folder, or delete that one") from None


def _difference(known: dict[str, Any], now: dict[str, Any]) -> str:
    for key, what in (("model", "model"), ("version", "version")):
        if known.get(key) != now[key]:
            return f"predictions of {what} {known.get(key)}, not of {now[key]}"
    if known.get("columns") != now["columns"]:
        return f"predictions known by {', '.join(known.get('columns', []))}, not by {', '.join(now['columns'])}"
    if known.get("inputs") != now["inputs"]:
        return "predictions of other rows (files were added, removed or changed since)"
    return "predictions that were made otherwise"


def _check_unchanged(job: Job, folder: Path, shards: list[str]) -> None:
    """Refuses, and takes back, what was read of files that are not those of the manifest any more."""
    changed = [one.path for one in job.inputs if one.is_changed()]
    if changed:
        for shard in shards:
            (folder / shard).unlink(missing_ok=True)
            (folder / BAD / shard).unlink(missing_ok=True)
        raise UserError(f"{changed[0]} changed while it was read; run again when it is written completely")


def _checked_counts(job: Job, folder: Path) -> dict[str, Counts]:
    """The counts of all shards, after making sure that no row is missing."""
    counts = {shard: read_counts(folder / shard) for shard in job.shards}
    for shard, unit in job.shards.items():
        found = counts[shard].rows + sum(counts[shard].bad.values())
        if found != unit.rows:
            told = f"{folder / shard} holds {found} rows, but {unit.path} has {unit.rows} for it"
            raise UserError(f"{told}; delete it and run again")
    return counts


def _check_bad_rows(job: Job, counts: dict[str, Counts], max_bad_rows: float, folder: Path) -> None:
    bad: dict[str, Counter[str]] = {}
    for shard, unit in job.shards.items():
        bad.setdefault(unit.path, Counter()).update(counts[shard].bad)
    for path, reasons in bad.items():
        count, rows = reasons.total(), job.rows_of[path]
        if count > max_bad_rows * rows or (count and count == rows):
            told = f"{count} of {rows} rows of {path} cannot be read"
            raise UserError(too_many(told, f"predict.max_bad_rows {max_bad_rows:g}", reasons, folder / BAD))
