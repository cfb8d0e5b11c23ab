"""Renders the run's report, whatever happened in the run, and frees what earlier runs left."""

import shutil
import time
from pathlib import Path
from typing import Any

from components import artifacts
from components.cleanup.cleanup import apply, model_runs, plan
from components.cleanup.config import Retention
from components.finish.config import FinishConfig
from components.report.html import write_report

REPORT = "report.html"


def finish(config: FinishConfig, work: Path, name: str, report: Path) -> None:
    """Writes the report and cleans up.

    The record's details hold `freed` (path below the work directory, bytes, why), `freed_bytes`, `kept` (run folders of
    this model that stay) and `failed` (path, error): what could not be deleted never fails the run.

    Args:
        config: how much is kept.
        work: the work directory.
        name: the model's name.
        report: where the pipeline wants its copy of `<run folder>/report.html`.
    """
    try:
        with artifacts.recorded("finish", work) as details:
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


def _clean_up(retention: Retention, work: Path, name: str) -> dict[str, Any]:
    now_s = time.time()
    freed, failed = apply(plan(work, name, retention, now_s))
    work = work.resolve()
    return {
        "freed": [{"path": _below(item.path, work), "bytes": item.bytes, "why": item.why} for item in freed],
        "freed_bytes": sum(item.bytes for item in freed),
        "kept": len(model_runs(work, name, now_s)),
        "failed": [{"path": _below(item.path, work), "error": item.error} for item in failed],
    }


def _below(path: Path, work: Path) -> str:
    return path.relative_to(work).as_posix()
