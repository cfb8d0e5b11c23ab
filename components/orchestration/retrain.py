"""One retraining of one model on this machine, from its data to the summary on the screen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from components.errors import UserError
from components.orchestration.local_run import LOG, LocalRun

DATA_SCRIPT = "data.py"


def retrain(
    pipeline: Callable[..., Any],
    parameters: dict[str, Any],
    model: str,
    model_folder: Path,
    cache: bool = True,
    debug: bool = False,
) -> bool:
    """Retrains a model once and shows how it went.

    Args:
        pipeline: the model's KFP pipeline.
        parameters: its parameters; `work_uri` is the work directory.
        model: the model's name.
        model_folder: may hold a `data.py` that lays out built-in data.
        cache: whether results of earlier runs are used.
        debug: whether the run's log is shown after the run.

    Returns:
        whether the run succeeded; a model that was refused is a success too.

    Raises:
        UserError: the run could not be started.
        KeyboardInterrupt: the run was told to end.
    """
    console = Console(file=sys.stdout)  # bound now: while the pipeline runs, stdout is the log
    run = LocalRun.new(model, Path(parameters["work_uri"]))
    lay_out_data(model_folder, run.work / "source" / model, console)
    try:
        return run.execute(pipeline, parameters, cache, console)
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
