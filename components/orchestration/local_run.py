"""One run of a pipeline on this machine, through KFP's local runner."""

import builtins
import contextlib
import logging
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
from components.orchestration.beside import beside
from components.orchestration.images import ROOT
from components.orchestration.interruption import interruptible
from components.orchestration.lease import lease
from components.orchestration.progress import Progress
from components.orchestration.runners import KfpRunner, Processes, Runner
from components.report.html import write_report
from components.report.terminal import print_summary
from components.storage.address import Address, is_local, joined
from components.storage.fetched import BESIDE_VARIABLE
from components.storage.open import open_storage

LOG = "log.txt"
REPORT = "report.html"


@dataclass(frozen=True)
class LocalRun:
    """A run of a pipeline on this machine, and where it leaves its records, report and log."""

    model: str
    work: Address
    name: str
    beside: Path
    """Where KFP writes, and the run its log: the work directory, or a folder of this machine beside a bucket."""

    @classmethod
    def new(cls, model: str, work: Address) -> "LocalRun":
        """A run with a name of its own: the time in UTC, the model, four random digits. Makes its folder.

        Raises:
            UserError: the work directory cannot be used.
            OSError: the bucket cannot be read.
        """
        if "python3" in str(work):
            raise UserError(f"the work directory {work} has python3 in its path, which KFP replaces; choose another")
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        run = cls(model, work, f"{stamp}-{model}-{uuid.uuid4().hex[:4]}", beside(work))
        if not is_local(work):
            open_storage(work).names("runs")  # a bucket that is not there is told before anything begins
        try:
            run.folder.mkdir(parents=True)
        except OSError as error:
            where = run.beside
            raise UserError(
                f"the work directory {where} cannot be written ({error.strerror}); choose another"
            ) from None
        return run

    @property
    def folder(self) -> Path:
        """Where the run's log lies, on this machine."""
        return artifacts.run_folder(self.beside, self.name)

    @property
    def address(self) -> Address:
        """Where the run's records and report lie; the same folder unless the work directory is a bucket."""
        return artifacts.run_folder(self.work, self.name)

    def execute(
        self,
        pipeline: Callable[..., Any],
        arguments: dict[str, Any],
        cache: bool,
        console: Console,
        runner: Runner | None = None,
    ) -> bool:
        """Runs the pipeline and shows its progress; waits while a cleanup is at work in the work directory.

        Args:
            pipeline: what KFP made of a pipeline function, or loaded from a compiled file.
            arguments: the pipeline's parameters.
            cache: whether results of earlier runs are used.
            console: where the progress is shown.
            runner: what the tasks run in; None: processes of this machine.

        Returns:
            whether all tasks succeeded.

        Raises:
            KeyboardInterrupt: the run was told to end; its tasks are ended, and its records say so.
        """
        with self._leased(), Progress(self.address, self.name, console), self._log():
            for work in {self.work, self.beside}:
                wait_for_sweep(open_storage(work))
            runner = runner or Processes()
            with (
                self._environment(cache),
                runner.at_work(self.name, self.beside) as kfp_runner,
                interruptible(runner.end),
            ):
                init_kfp(self.beside, cache, kfp_runner)
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
        records = artifacts.read_records(self.address)
        report = self.folder / REPORT
        if not is_local(self.work):
            self._exchange()
        if not report.exists():
            write_report(records, report, self.model, self.name)
        paths = {"report": report, "model store": joined(self.work, f"models/{self.model}"), "log": self.folder / LOG}
        print_summary(records, console, self.model, self.name, {key: str(path) for key, path in paths.items()})

    def _exchange(self) -> None:
        """Brings the report here, and the log to the bucket."""
        storage = open_storage(self.address)
        with contextlib.suppress(FileNotFoundError):
            storage.fetch(REPORT, self.folder / REPORT)
        with contextlib.suppress(FileNotFoundError):
            storage.write(LOG, (self.folder / LOG).read_bytes())

    @contextlib.contextmanager
    def _leased(self) -> Iterator[None]:
        """Tells cleanup of the run, in the bucket and in the folder beside it."""
        with contextlib.ExitStack() as stack:
            for folder in {self.address, self.folder}:
                stack.enter_context(lease(folder, self.model))
            yield

    def _end_records(self) -> None:
        """Marks the steps at work as failed: their processes are gone."""
        storage = open_storage(self.address)
        for key, record in artifacts.read_records(self.address).items():
            if record.status == "running":
                record.status, record.error = "failed", "the run was interrupted; run again to go on"
                storage.write(f"{artifacts.RECORDS}/{key}.json", artifacts.json_bytes(asdict(record)))

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
            os.environ[artifacts.FRESH_VARIABLE] = "1"
        if not is_local(self.work):
            os.environ[BESIDE_VARIABLE] = str(self.beside)
        os.environ["TMPDIR"] = str(temporary)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before.get("PYTHONPATH")]))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            shutil.rmtree(temporary, ignore_errors=True)
            with contextlib.suppress(OSError):  # those of tasks that were killed; none is at work any more
                open_storage(self.address).remove(artifacts.LEASES)

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        """Sends what KFP and the tasks print to the run's log."""
        with (
            (self.folder / LOG).open("w", encoding="utf-8") as log,
            contextlib.redirect_stdout(log),
            _output_put_back(),
        ):
            yield


@contextlib.contextmanager
def _output_put_back() -> Iterator[None]:
    """Puts `print` and the root logger back.

    KFP (2.17) changes them for each task; of tasks at work side by side, one puts back what the other had changed, so
    that in the end `print` indents and the log goes to a file that is closed.
    """
    root = logging.getLogger()
    found, handlers, level = builtins.print, list(root.handlers), root.level
    try:
        yield
    finally:
        builtins.print = found
        root.handlers[:] = handlers
        root.setLevel(level)


def init_kfp(work: Path, cache: bool, runner: KfpRunner | None = None) -> None:
    """Sets KFP's local runner up for a work directory.

    KFP deletes its workspace folder after every run, so it gets one that holds nothing.
    """
    local.init(
        runner or local.SubprocessRunner(use_venv=False),
        pipeline_root=str(work / "pipeline"),
        workspace_root=str(work / "workspace" / uuid.uuid4().hex),
        enable_caching=cache,
    )
