"""One run of a pipeline on this machine, through KFP's local runner."""

import contextlib
import os
import shutil
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kfp import local
from rich.console import Console

from components import artifacts
from components.cleanup.sweep import wait_for_sweep
from components.errors import UserError
from components.learning.training_folder import FRESH_VARIABLE
from components.orchestration.images import ROOT
from components.orchestration.interruption import ends_children
from components.orchestration.lease import lease
from components.orchestration.progress import Progress
from components.report.html import write_report
from components.report.terminal import print_summary
from components.storage.open import open_storage

LOG = "log.txt"
REPORT = "report.html"


@dataclass(frozen=True)
class LocalRun:
    """A run of a pipeline on this machine, and where it leaves its records, report and log."""

    model: str
    work: Path
    name: str

    @classmethod
    def new(cls, model: str, work: Path) -> "LocalRun":
        """A run with a name of its own: the time in UTC, the model, four random digits. Makes its folder.

        Raises:
            UserError: the work directory cannot be used.
        """
        if "python3" in str(work):
            raise UserError(f"the work directory {work} has python3 in its path, which KFP replaces; choose another")
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        run = cls(model, work, f"{stamp}-{model}-{uuid.uuid4().hex[:4]}")
        try:
            run.folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(f"the work directory {work} cannot be written ({error.strerror}); choose another") from None
        return run

    @property
    def folder(self) -> Path:
        """Where the run's records, report and log lie."""
        return artifacts.run_folder(self.work, self.name)

    def execute(self, pipeline: Callable[..., Any], arguments: dict[str, Any], cache: bool, console: Console) -> bool:
        """Runs the pipeline and shows its progress; waits while a cleanup is at work in the work directory.

        Args:
            pipeline: what KFP made of a pipeline function, or loaded from a compiled file.
            arguments: the pipeline's parameters.
            cache: whether results of earlier runs are used.
            console: where the progress is shown.

        Returns:
            whether all tasks succeeded.

        Raises:
            KeyboardInterrupt: the run was told to end; its tasks are ended, and its records say so.
        """
        with lease(self.folder, self.model), Progress(self.folder, self.name, console), self._log():
            wait_for_sweep(open_storage(self.work))
            init_kfp(self.work, cache)
            with self._environment(cache), ends_children():
                try:
                    pipeline(**arguments)
                except KeyboardInterrupt:
                    self._end_records()
                    raise
                except Exception:  # whatever a task or KFP's runner fails with: records and log say why
                    traceback.print_exc(file=sys.stdout)
                    return False
        return True

    def summarize(self, console: Console) -> None:
        """Prints what the run did and where everything lies; renders the report if finish could not."""
        records = artifacts.read_records(self.folder)
        report = self.folder / REPORT
        if not report.exists():
            write_report(records, report, self.model, self.name)
        paths = {"report": report, "model store": self.work / "models" / self.model, "log": self.folder / LOG}
        print_summary(records, console, self.model, self.name, {key: str(path) for key, path in paths.items()})

    def _end_records(self) -> None:
        """Marks the steps at work as failed: their processes are gone."""
        for key, record in artifacts.read_records(self.folder).items():
            if record.status == "running":
                record.status, record.error = "failed", "the run was interrupted; run again to go on"
                artifacts.write_json(self.folder / artifacts.RECORDS / f"{key}.json", asdict(record))

    @contextlib.contextmanager
    def _environment(self, cache: bool) -> Iterator[None]:
        """The variables that the tasks' processes inherit.

        KFP leaves each task's text in the folder for temporary files, so the run has one of its own.
        """
        before = dict(os.environ)
        temporary = self.folder / "tmp"
        temporary.mkdir()
        os.environ[artifacts.RUN_VARIABLE] = self.name
        if not cache:
            os.environ[FRESH_VARIABLE] = "1"
        os.environ["TMPDIR"] = str(temporary)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before.get("PYTHONPATH")]))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            shutil.rmtree(temporary, ignore_errors=True)
            # Those of tasks that were killed; none is at work any more.
            shutil.rmtree(self.folder / artifacts.LEASES, ignore_errors=True)

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        """Sends what KFP and the tasks print to the run's log."""
        with (self.folder / LOG).open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            yield


def init_kfp(work: Path, cache: bool) -> None:
    """Sets KFP's local runner up for a work directory.

    KFP deletes its workspace folder after every run, so it gets one that holds nothing.
    """
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(work / "pipeline"),
        workspace_root=str(work / "workspace" / uuid.uuid4().hex),
        enable_caching=cache,
    )
