"""Operations on a store in processes of their own, which are killed at any write, rename or delete."""

import multiprocessing
import os
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import s3fs

from components import artifacts
from components.store import ModelStore, Version

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")
"""Audit events of Python; os.replace is os.rename, os.unlink is os.remove."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.store.faults"])
AWS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def fill(folder: Path, number: int) -> None:
    """A small version, with a folder in it."""
    artifacts.write_json(folder / artifacts.LINEAGE, {"version": number, "snapshot": "s", "recipe": "int8"})
    (folder / "serving").mkdir()
    (folder / "serving" / "model.tflite").write_bytes(b"model" * 1000 + bytes([number % 256]))


def newest(store: ModelStore) -> Version:
    """The version with the highest number."""
    return store.versions()[-1]


def other(store: ModelStore, number: int | None) -> Version:
    """Version 1 or 2, whichever is not `number`."""
    return store.version(1 if number == 2 else 2)


OPERATIONS: dict[str, Callable[[ModelStore], Any]] = {
    "add": lambda store: store.add(fill),
    "point": lambda store: store.point("serving", other(store, store.number("serving"))),
    "candidate": lambda store: store.point("candidate", other(store, store.number("candidate"))),
    "replace": lambda store: store.replace(store.number("serving"), newest(store)),
    "rollback": lambda store: store.rollback(),
    "pin": lambda store: store.pin(1, uuid.uuid4().hex),
    "unpin": lambda store: store.unpin(1),
    "remove": lambda store: store.remove(newest(store).number, store.named),
    "mark": lambda store: store._marks.take(1),
    "spare": lambda store: store.remove(1, lambda: [1]),
}


def run(work: Path | str, operation: str, nth: int) -> int | None:
    """Does an operation in a process that dies before its n-th change; returns the exit code, 0 where it ended."""
    environment = {name: os.environ[name] for name in AWS if name in os.environ}
    process = PROCESSES.Process(target=_run, args=(work, operation, nth, environment))
    process.start()
    process.join()
    return process.exitcode


def _run(work: Path | str, operation: str, nth: int, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    store = ModelStore(work, "m")
    count = _Countdown(nth)
    if isinstance(work, Path):
        sys.addaudithook(count.on_audit)
    else:
        _on_requests(count)
    count.armed = True
    OPERATIONS[operation](store)
    count.armed = False


class _Countdown:
    """Kills this process when it has counted to zero."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.armed = False

    def change(self) -> None:
        if self.armed:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            self.change()


def _on_requests(count: _Countdown) -> None:
    prepare = s3fs.S3FileSystem._get_s3_method_kwargs

    def counted(self: s3fs.S3FileSystem, method: Any, *rest: Any, **arguments: Any) -> Any:
        if not method.__name__.startswith(("get_", "head_", "list_")):
            count.change()
        return prepare(self, method, *rest, **arguments)

    s3fs.S3FileSystem._get_s3_method_kwargs = counted


def deploy_at_once(work: Path | str, processes: int) -> list[tuple[int, int | None]]:
    """Adds and points from several processes; returns each one's version and the version that it replaced."""
    environment = {name: os.environ[name] for name in AWS if name in os.environ}
    barrier, answers = PROCESSES.Barrier(processes), PROCESSES.Queue()
    arguments = (work, environment, barrier, answers)
    started = [PROCESSES.Process(target=_deploy, args=arguments) for _ in range(processes)]
    for process in started:
        process.start()
    found = [answers.get(timeout=120) for _ in started]
    for process in started:
        process.join()
        assert process.exitcode == 0
    return found


def _deploy(work: Path | str, environment: dict[str, str], barrier: Any, answers: Any) -> None:
    os.environ.update(environment)
    store = ModelStore(work, "m")
    store.named()  # opens the connection
    barrier.wait(timeout=60)
    version = store.add(fill)
    before = store.point("serving", version)
    answers.put((version.number, before and before.number))
