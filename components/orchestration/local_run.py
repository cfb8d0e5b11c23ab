"""One retraining of one model on this machine, through KFP's local runner."""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kfp import local
from rich.console import Console

from components import artifacts
from components.config import ModelConfig
from components.errors import UserError
from components.orchestration.images import ROOT
from components.orchestration.lease import lease
from components.orchestration.progress import Progress
from components.report.terminal import print_summary

LOG = "log.txt"
DATA_SCRIPT = "data.py"


@dataclass(frozen=True)
class LocalRun:
    """A run of a pipeline on this machine, and where it leaves its records, report and log."""

    model: str
    work: Path
    name: str

    @classmethod
    def new(cls, model: str, work: Path) -> "LocalRun":
        """A run with a name of its own: the time in UTC, the model, four random digits.

        Raises:
            UserError: the work directory's path cannot be used.
        """
        if "python3" in str(work):
            raise UserError(f"the work directory {work} has python3 in its path, which KFP replaces; choose another")
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        return cls(model, work, f"{stamp}-{model}-{uuid.uuid4().hex[:4]}")

    @property
    def folder(self) -> Path:
        """Where the run's records, report and log lie."""
        return artifacts.run_folder(self.work, self.name)

    def execute(self, pipeline: Callable[..., Any], arguments: dict[str, Any], cache: bool, console: Console) -> bool:
        """Runs the pipeline and shows its progress.

        Args:
            pipeline: what KFP made of a pipeline function, or loaded from a compiled file.
            arguments: the pipeline's parameters.
            cache: whether results of earlier runs are used.
            console: where the progress is shown.

        Returns:
            whether all tasks succeeded.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with lease(self.folder, self.model), Progress(self.folder, self.name, console), self._log():
            init_kfp(self.work, cache)
            with self._environment():
                return _succeeds(pipeline, arguments)

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        """The variables that the tasks' processes inherit.

        KFP leaves each task's text in the folder for temporary files, so the run has one of its own.
        """
        before = dict(os.environ)
        temporary = self.folder / "tmp"
        temporary.mkdir()
        os.environ[artifacts.RUN_VARIABLE] = self.name
        os.environ["TMPDIR"] = str(temporary)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before.get("PYTHONPATH")]))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            shutil.rmtree(temporary, ignore_errors=True)

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        """Sends what KFP and the tasks print to the run's log."""
        with (self.folder / LOG).open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            yield

    def summarize(self, console: Console) -> None:
        """Prints what the run did and where everything lies."""
        paths = {
            "report": self.folder / "report.html",
            "model store": self.work / "models" / self.model,
            "log": self.folder / LOG,
        }
        records = artifacts.read_records(self.folder)
        print_summary(records, console, self.model, self.name, {key: str(path) for key, path in paths.items()})


def run_model(
    pipeline: Callable[..., Any],
    parameters: dict[str, Any],
    config: ModelConfig,
    model_folder: Path,
    cache: bool,
    debug: bool,
) -> bool:
    """Retrains a model once and shows how it went.

    Args:
        pipeline: the model's KFP pipeline.
        parameters: its parameters; `work_uri` is the work directory.
        config: the model's configuration.
        model_folder: may hold a `data.py` that lays out built-in data.
        cache: whether results of earlier runs are used.
        debug: whether the tasks' output is shown after the run.

    Returns:
        whether the run succeeded; a model that was refused is a success too.

    Raises:
        UserError: the run could not be started.
    """
    console = Console(file=sys.stdout)  # bound now: while the pipeline runs, stdout is the log
    run = LocalRun.new(config.name, Path(parameters["work_uri"]))
    lay_out_data(model_folder, run.work, console)
    succeeded = run.execute(pipeline, parameters, cache, console)
    if debug:
        console.print((run.folder / LOG).read_text(encoding="utf-8"), markup=False, highlight=False)
    run.summarize(console)
    return succeeded


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


def lay_out_data(model_folder: Path, work: Path, console: Console) -> None:
    """Runs the `data.py` of a model that brings its own data; it leaves complete data alone.

    Raises:
        UserError: the script failed.
    """
    script = model_folder / DATA_SCRIPT
    if not script.exists():
        return
    target = work / "source" / model_folder.name
    with console.status(f"laying out the data of {model_folder.name}"):
        done = subprocess.run([sys.executable, str(script), str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{script} failed ({last}); run it by hand with {target} to see why")


def _succeeds(pipeline: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    try:
        pipeline(**arguments)
    except RuntimeError:  # KFP's way to say that a task failed; the task's own record says why
        return False
    return True
