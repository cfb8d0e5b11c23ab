"""Tells cleanup which runs are in progress."""

import contextlib
import time
from collections.abc import Iterator

from components.artifacts import HEARTBEAT_S, json_bytes
from components.cleanup.survey import LEASE, RUN
from components.storage.address import Address
from components.storage.heartbeat import beating
from components.storage.open import open_storage
from components.storage.process import this_process
from components.storage.storage import Storage


@contextlib.contextmanager
def lease(run_folder: Address, model: str) -> Iterator[None]:
    """Marks a run as in progress while the block runs.

    Writes `run.json` (whose run it is) and `lease.json` (with a heartbeat; removed at the end) into the run's folder. A
    process that is killed leaves its lease behind, without a heartbeat.
    """
    storage = open_storage(run_folder)
    storage.write(RUN, json_bytes({"model": model, "started_s": time.time()}))
    try:
        with beating(lambda: _write(storage, model), HEARTBEAT_S):
            yield
    finally:
        storage.delete([LEASE])


def _write(storage: Storage, model: str) -> None:
    storage.write(LEASE, json_bytes({**this_process(), "model": model, "heartbeat_s": time.time()}))
