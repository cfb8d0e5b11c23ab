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
from components.train.exit_codes import LOST, PREEMPTED
from components.train.paths import Paths

log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
LOOK_S = 0.2
MAX_RESTARTS = 10
STOP_S = 60.0
"""How long a process may take to save its checkpoint and end."""
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
    log_start: int
    """Where in its log an earlier attempt ended."""
    told: int = 0
    """Bytes of this attempt's log that are in ours."""

    def tell(self) -> None:
        """Repeats in our log what the process has said since the last time."""
        said = self.log.read_bytes()[self.log_start + self.told :]
        whole = said[: said.rfind(b"\n") + 1]
        self.told += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            log.info("%s: %s", self.task.name, line)


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
    start = output.seek(0, os.SEEK_END)
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment)
    log.info("%s is process %d; it says what it does in %s", task.name, started.pid, file)
    return _Process(task, started, file, start)


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
        processes[0].tell()
        for process in list(processes):
            code = process.started.poll()
            if code is None or (code == 0 and process not in waits_for):
                continue
            if code == 0:
                waits_for.remove(process)
            elif code == PREEMPTED or told:
                _let_end(waits_for)
                is_saved = processes[0].started.poll() == PREEMPTED
                how = "the checkpoint is saved" if is_saved else "no checkpoint could be saved now"
                raise PreemptedError(f"told to end; {how}, run it again to go on")
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
    first = min(failed, key=lambda process: _guilt(codes[process.task], process))
    said = _said(first).removeprefix("error: ")
    return UserError(f"training process {first.task.name} ended with code {codes[first.task]}: {said}")


def _guilt(code: int | None, process: _Process) -> int:
    """The lower, the likelier the process was the first to fail: it says why, or was killed; others lost it."""
    if code == LOST:
        return 3
    if code == 1:
        return 0 if _said(process).startswith("error: ") else 2
    return 1


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


def _said(process: _Process) -> str:
    """The error that a process told of, or its last words."""
    lines = process.log.read_bytes()[process.log_start :].decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]
