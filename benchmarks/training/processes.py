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
TRAIN = ("components.train",)


def paths_in(folder: Path, examples: Path, base: Path) -> Paths:
    """A training's own folder, made anew, with what it reads."""
    (folder / "scratch").mkdir(parents=True)
    return Paths(examples, base, folder / "scratch", folder / "log")


def start(
    paths: Paths, config: TrainConfig, module: Sequence[str] = TRAIN, cores: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Starts a process that trains alone.

    Args:
        paths: what it reads and writes; what it says goes into `said.txt` beside the scratch folder.
        config: the network and how it is fitted.
        module: what to run, with arguments before the usual ones.
        cores: the processor's cores that it may use; none given: all.
    """
    file = paths.scratch.parent / "config.json"
    file.write_text(config.to_json(), encoding="utf-8")
    folders = {"examples": paths.examples, "base": paths.base, "scratch": paths.scratch, "log": paths.log}
    arguments = [str(part) for name, folder in folders.items() for part in (f"--{name}", folder)]
    command = [sys.executable, "-m", *module, "--config", str(file), *arguments]
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (paths.scratch.parent / "said.txt").open("ab") as said:
        return subprocess.Popen([*pinned, *command], stdout=said, stderr=said, env=environment)


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
        said = (paths.scratch.parent / "said.txt").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"training ended with code {process.returncode}: {said[-2000:]}")


def details(model: Path) -> dict[str, Any]:
    """What training says of itself."""
    return artifacts.read_json(model / artifacts.TRAINING)
