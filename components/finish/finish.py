"""Renders the run's report, whatever happened in the run, and frees what earlier runs left."""

import time
from pathlib import Path
from typing import Any

from components import artifacts
from components.cleanup.cleanup import Outcome, clean_up
from components.cleanup.config import Retention
from components.cleanup.generation import living_from_s
from components.cleanup.survey import RUN
from components.errors import UserError
from components.finish.config import FinishConfig
from components.report.html import write_report
from components.storage.address import Address, is_local
from components.storage.fetched import forget_copies, imports_paths, scratch
from components.storage.open import open_storage

REPORT = "report.html"


def finish(config: FinishConfig, work: Address, name: str, report: Path) -> None:
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
            _render(work, name, report)
            details.update(_clean_up(config.retention, work, name))
    finally:
        # Once more, now that the records tell what was freed.
        _render(work, name, report)


def _render(work: Address, name: str, report: Path) -> None:
    run = artifacts.run_name()
    folder = artifacts.run_folder(work, run)
    write_report(artifacts.read_records(folder), report, name, run)
    open_storage(folder).write(REPORT, report.read_bytes())


def _sign(work: Address, name: str) -> None:
    """Says whose run this was, where no orchestrator did: cleanup must know."""
    run = artifacts.run_name()
    folder = artifacts.run_folder(work, run)
    storage = open_storage(folder)
    if run != artifacts.UNNAMED_RUN and not storage.exists(RUN):
        started_s = min(record.started_s for record in artifacts.read_records(folder).values())
        storage.write(RUN, artifacts.json_bytes({"model": name, "started_s": started_s}))


def _clean_up(retention: Retention, work: Address, name: str) -> dict[str, Any]:
    now_s = time.time()
    try:
        outcome = clean_up(work, {name: retention}, now_s)[name]
        if is_local(work) or not imports_paths():
            return _told(outcome, retention)
        # What KFP wrote beside the bucket, and copies of what lies there.
        local = clean_up(scratch(), {name: retention}, now_s)[name]
        forget_copies(living_from_s(now_s, retention.days))
    except (UserError, OSError) as error:  # another is at work, or the disk is full; the next run frees what stays
        return {"notes": [str(error)]}
    freed, failed, notes = outcome.freed + local.freed, outcome.failed + local.failed, outcome.notes + local.notes
    return _told(Outcome(freed, failed, notes, outcome.kept_runs), retention)


def _told(outcome: Outcome, retention: Retention) -> dict[str, Any]:
    largest_first = sorted(outcome.freed, key=lambda item: item.bytes, reverse=True)
    return {
        "freed": [{"path": item.path, "bytes": item.bytes, "why": item.why} for item in largest_first],
        "freed_bytes": outcome.freed_bytes,
        "saved_a_month": outcome.freed_bytes / 1e9 * retention.price_gb_month,
        "kept": outcome.kept_runs,
        "notes": outcome.notes,
        "failed": [{"path": item.path, "error": item.error} for item in outcome.failed],
    }
