"""Training processes as a user has them: `python -m components.train`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import artifacts
from components.train.config import TrainConfig
from components.train.paths import Paths

ROOT = Path(__file__).parents[2]
USUAL = ("-m", "components.train")


def paths_in(folder: Path, examples: Path, base: Path) -> Paths:
    """A training's own folder, made anew, with what it reads."""
    (folder / "scratch").mkdir(parents=True)
    return Paths(examples, base, folder / "scratch", folder / "log")


def start(
    paths: Paths, config: TrainConfig, instead: Sequence[str] = USUAL, cores: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Starts a process that trains alone.

    Args:
        paths: what it reads and writes; what it says goes into `said.txt` beside the scratch folder.
        config: the network and how it is fitted.
        instead: what to run in the place of `-m components.train`, with the same arguments.
        cores: the processor's cores that it may use; none given: all.
    """
    paths.config.write_text(config.to_json(), encoding="utf-8")
    command = [sys.executable, *instead, *paths.command[len(USUAL) :]]
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with said(paths).open("ab") as output:
        return subprocess.Popen([*pinned, *command], stdout=output, stderr=output, env=environment)


def run(paths: Paths, config: TrainConfig, cores: Sequence[int] = ()) -> dict[str, Any]:
    """Trains to the end; what training says of itself.

    Raises:
        RuntimeError: it failed, with its last words.
    """
    wait(start(paths, config, cores=cores), paths)
    return details(paths.result)


def wait(process: subprocess.Popen[bytes], paths: Paths) -> None:
    """Waits for the end of a process.

    Raises:
        RuntimeError: it failed, with its last words.
    """
    if process.wait():
        words = said(paths).read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"training ended with code {process.returncode}: {words[-2000:]}")


def said(paths: Paths) -> Path:
    """What the processes of a training say."""
    return paths.scratch.parent / "said.txt"


def details(model: Path) -> dict[str, Any]:
    """What training says of itself."""
    return artifacts.read_json(model / artifacts.TRAINING)
