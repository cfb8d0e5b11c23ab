"""Tells cleanup which runs are in progress."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from components.artifacts import write_json

HEARTBEAT_S = 30.0


@contextlib.contextmanager
def lease(run_folder: Path, model: str) -> Iterator[None]:
    """Marks a run as in progress while the block runs.

    Writes `run.json` (whose run it is) and `lease.json` (with a heartbeat; removed at the end) into the run's folder. A
    process that is killed leaves its lease behind, without a heartbeat.
    """
    write_json(run_folder / "run.json", {"model": model, "started_s": time.time()})
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(run_folder / "lease.json", model, stop), daemon=True)
    _write(run_folder / "lease.json", model)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        (run_folder / "lease.json").unlink(missing_ok=True)


def _beat(path: Path, model: str, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        _write(path, model)


def _write(path: Path, model: str) -> None:
    write_json(path, {"host": socket.gethostname(), "pid": os.getpid(), "model": model, "heartbeat_s": time.time()})
