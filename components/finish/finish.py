"""Renders the run's report, whatever happened in the run, and frees what earlier runs left."""

import shutil
import time
from pathlib import Path
from typing import Any

from components import artifacts
from components.cleanup.cleanup import clean_up
from components.cleanup.config import Retention
from components.errors import UserError
from components.finish.config import FinishConfig
from components.report.html import write_report

REPORT = "report.html"


def finish(config: FinishConfig, work: Path, name: str, report: Path) -> None:
    """Writes the report and cleans up; `run.json` too, which says whose run it was, where there is none.

    The record's details hold `freed` (path below the work directory, bytes, why; the largest first), `freed_bytes`,
    `saved_a_month` (its price), `kept` (run folders of this model that stay), `notes` (why something stays that might
    be expected to go) and `failed` (path, error): what could not be deleted never fails the run.

    Args:
        config: how much is kept.
        work: the work directory.
        name: the model's name.
        report: where the pipeline wants its copy of `<run folder>/report.html`.
    """
    try:
        with artifacts.recorded("finish", work) as details:
            _sign(work, name)
            # Before cleaning up, so that there is a report even if that is interrupted.
            _render(work, name)
            details.update(_clean_up(config.retention, work, name))
    finally:
        # Once more, now that the records tell what was freed.
        written = _render(work, name)
        report.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, report)


def _render(work: Path, name: str) -> Path:
    run = artifacts.run_name()
    folder = artifacts.run_folder(work, run)
    write_report(artifacts.read_records(folder), folder / REPORT, name, run)
    return folder / REPORT


def _sign(work: Path, name: str) -> None:
    """Says whose run this was, where no orchestrator did: cleanup must know."""
    run = artifacts.run_name()
    folder = artifacts.run_folder(work, run)
    if run != artifacts.UNNAMED_RUN and not (folder / "run.json").exists():
        started_s = min(record.started_s for record in artifacts.read_records(folder).values())
        artifacts.write_json(folder / "run.json", {"model": name, "started_s": started_s})


def _clean_up(retention: Retention, work: Path, name: str) -> dict[str, Any]:
    try:
        outcome = clean_up(work, {name: retention}, time.time())[name]
    except (UserError, OSError) as error:  # another is at work, or the disk is full; the next run frees what stays
        return {"notes": [str(error)]}
    largest_first = sorted(outcome.freed, key=lambda item: item.bytes, reverse=True)
    return {
        "freed": [{"path": item.path, "bytes": item.bytes, "why": item.why} for item in largest_first],
        "freed_bytes": outcome.freed_bytes,
        "saved_a_month": outcome.freed_bytes / 1e9 * retention.price_gb_month,
        "kept": outcome.kept_runs,
        "notes": outcome.notes,
        "failed": [{"path": item.path, "error": item.error} for item in outcome.failed],
    }
