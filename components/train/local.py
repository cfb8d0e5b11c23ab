"""Several training processes on this machine, each with its task in TF_CONFIG, as pods of a TFJob have it."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components import artifacts
from components.errors import PreemptedError, UserError
from components.train.config import Train, TrainConfig
from components.train.paths import Paths

log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
LOOK_S = 0.2
MAX_RESTARTS = 10
STOP_S = 60.0
"""How long a process may take to save its checkpoint and end."""
PREEMPTED = 128 + 15
LOST = PREEMPTED + 1
LOGS = "logs"
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Task:
    """A process's part in the cluster."""

    type: str
    index: int

    @property
    def name(self) -> str:
        """Of its log."""
        return f"{self.type}-{self.index}"


@dataclass
class _Process:
    task: Task
    started: subprocess.Popen[bytes]
    log: Path


def tasks(train: Train) -> list[Task]:
    """The processes of a training, the chief first."""
    workers = [Task("worker", index) for index in range(train.workers)]
    if train.strategy != "parameter_server":
        return workers
    return [Task("chief", 0), *workers, *(Task("ps", index) for index in range(train.parameter_servers))]


def launch(paths: Paths, config: TrainConfig) -> None:
    """Runs the training in processes of this machine, and waits for the chief.

    Worker processes of a parameter server strategy may die, and are started again; where any other does, all end.

    Args:
        paths: what they read and write; their logs go below `paths.scratch`.
        config: the network and how it is fitted.

    Raises:
        UserError: a process failed; in its last words.
        PreemptedError: this process was told to end; the checkpoint is saved.
    """
    artifacts.write_bytes(paths.config, config.to_json().encode())
    cluster = _cluster(tasks(config.train))
    with contextlib.ExitStack() as stack:
        processes = [_start(task, cluster, paths, stack) for task in tasks(config.train)]
        stack.callback(_end_all, processes)
        # Only the coordinator of parameter servers is told: it saves, and needs the others for that.
        with _passes_on_sigterm(processes[:1] if "chief" in cluster else processes) as told:
            _wait(processes, config.train, lambda task: _start(task, cluster, paths, stack), told)


def _cluster(of: list[Task]) -> dict[str, list[str]]:
    """Addresses on free ports, by type of task."""
    with contextlib.ExitStack() as stack:
        # All are held until all are found, so that none is found twice.
        sockets = [stack.enter_context(socket.create_server((ADDRESS, 0))) for _ in of]
        found: dict[str, list[str]] = {}
        for task, held in zip(of, sockets):
            found.setdefault(task.type, []).append(f"{ADDRESS}:{held.getsockname()[1]}")
    return found


def _start(task: Task, cluster: Mapping[str, list[str]], paths: Paths, stack: contextlib.ExitStack) -> _Process:
    described = {"cluster": cluster, "task": {"type": task.type, "index": task.index}}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "TF_CONFIG": json.dumps(described), "PYTHONPATH": path}
    command = [sys.executable, *paths.command, "--until-stdin-ends"]
    file = paths.scratch / LOGS / f"{task.name}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    output = stack.enter_context(file.open("ab"))
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment)
    log.info("%s is process %d; it says what it does in %s", task.name, started.pid, file)
    return _Process(task, started, file)


@contextlib.contextmanager
def _passes_on_sigterm(processes: list[_Process]) -> Iterator[list[bool]]:
    """While the block runs, SIGTERM is passed on to the processes; then the list holds True."""
    told: list[bool] = []

    def pass_on(*_: object) -> None:
        told.append(True)
        for process in processes:
            if process.started.poll() is None:
                process.started.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(processes: list[_Process], train: Train, restart: Callable[[Task], _Process], told: list[bool]) -> None:
    """Returns when all that train are done: of parameter servers and their workers, only the chief ever ends."""
    waits_for = processes[:1] if train.strategy == "parameter_server" else list(processes)
    restarts = 0
    while waits_for:
        time.sleep(LOOK_S)
        for process in list(processes):
            code = process.started.poll()
            if code is None or (code == 0 and process not in waits_for):
                continue
            if code == 0:
                waits_for.remove(process)
            elif code == PREEMPTED or told:
                _let_end(waits_for)
                raise PreemptedError("told to end; the checkpoint is saved, run it again to go on")
            elif train.strategy == "parameter_server" and process.task.type == "worker" and restarts < MAX_RESTARTS:
                restarts += 1
                log.warning("%s ended with code %d and is started again", process.task.name, code)
                processes[processes.index(process)] = restart(process.task)
            else:
                raise _failure(processes)


def _failure(processes: list[_Process]) -> UserError:
    """Tells of the process that failed, not of those that it took with it."""
    time.sleep(LOOK_S)
    codes = {process.task: process.started.poll() for process in processes}
    failed = [process for process in processes if codes[process.task]]
    first = min(failed, key=lambda process: codes[process.task] == LOST)
    return UserError(f"training process {first.task.name} ended with code {codes[first.task]}: {_last_line(first.log)}")


def _let_end(processes: list[_Process]) -> None:
    """Waits for those that were told to end: the chief may be saving."""
    until = time.monotonic() + STOP_S
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.started.wait(max(0.0, until - time.monotonic()))


def _end_all(processes: list[_Process]) -> None:
    for process in processes:
        if process.started.poll() is None:
            process.started.kill()
    for process in processes:
        process.started.wait()
        if process.started.stdin is not None:
            process.started.stdin.close()


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines()
    said = [line for line in lines if line.startswith("error: ")] or lines
    return said[-1].removeprefix("error: ") if said else "it said nothing"
