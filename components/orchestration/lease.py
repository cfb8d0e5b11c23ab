"""Tells cleanup which runs are in progress."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from components.artifacts import HEARTBEAT_S, write_json
from components.storage.heartbeat import beating
from components.storage.process import this_process


@contextlib.contextmanager
def lease(run_folder: Path, model: str) -> Iterator[None]:
    """Marks a run as in progress while the block runs.

    Writes `run.json` (whose run it is) and `lease.json` (with a heartbeat; removed at the end) into the run's folder. A
    process that is killed leaves its lease behind, without a heartbeat.
    """
    write_json(run_folder / "run.json", {"model": model, "started_s": time.time()})
    path = run_folder / "lease.json"
    try:
        with beating(lambda: _write(path, model), HEARTBEAT_S):
            yield
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, model: str) -> None:
    write_json(path, {**this_process(), "model": model, "heartbeat_s": time.time()})
