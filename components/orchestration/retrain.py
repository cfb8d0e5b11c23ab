"""One retraining of one model on this machine, from its data to the summary on the screen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from components.errors import UserError
from components.orchestration.beside import send_missing, work_address
from components.orchestration.local_run import LOG, LocalRun
from components.orchestration.runners import Processes, Runner
from components.storage.address import is_local

DATA_SCRIPT = "data.py"


def retrain(
    pipeline: Callable[..., Any],
    parameters: dict[str, Any],
    model: str,
    model_folder: Path,
    cache: bool = True,
    debug: bool = False,
    runner: Runner | None = None,
) -> bool:
    """Retrains a model once and shows how it went.

    Args:
        pipeline: the model's KFP pipeline.
        parameters: its parameters; `work_uri` is the work directory, a folder or `s3://…`.
        model: the model's name.
        model_folder: may hold a `data.py` that lays out built-in data.
        cache: whether results of earlier runs are used.
        debug: whether the run's log is shown after the run.
        runner: what the tasks run in; None: processes of this machine.

    Returns:
        whether the run succeeded; a model that was refused is a success too.

    Raises:
        UserError: the run could not be started.
        KeyboardInterrupt: the run was told to end.
    """
    console = Console(file=sys.stdout)  # bound now: while the pipeline runs, stdout is the log
    runner = runner or Processes()
    runner.check(pipeline)
    run = LocalRun.new(model, work_address(parameters["work_uri"]))
    source = f"source/{model}"
    lay_out_data(model_folder, run.beside / source, console)
    if not is_local(run.work):
        send_missing(run.beside / source, run.work, source)
    try:
        return run.execute(pipeline, parameters, cache, console, runner)
    finally:
        if debug:
            console.print((run.folder / LOG).read_text(encoding="utf-8"), markup=False, highlight=False)
        run.summarize(console)


def lay_out_data(model_folder: Path, target: Path, console: Console) -> None:
    """Runs the `data.py` of a model that brings its own data; it leaves complete data alone.

    Raises:
        UserError: the script failed.
    """
    script = model_folder / DATA_SCRIPT
    if not script.exists():
        return
    with console.status(f"laying out built-in data in {target}"):
        done = subprocess.run([sys.executable, str(script), str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{script} failed ({last}); run it by hand with {target} to see why")
