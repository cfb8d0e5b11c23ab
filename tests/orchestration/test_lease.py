import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.cleanup.sweep import sweeping
from components.orchestration import lease as lease_module
from components.orchestration.lease import lease
from components.storage.folder import FolderStorage
from components.storage.open import open_storage
from tests.orchestration.quick import Plant


def test_a_run_in_progress_has_a_lease_with_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.02)
    with lease(tmp_path, "m"):
        first = json.loads((tmp_path / "lease.json").read_text())["heartbeat_s"]
        deadline = time.time() + 5
        while json.loads((tmp_path / "lease.json").read_text())["heartbeat_s"] == first:
            assert time.time() < deadline, "the heartbeat never moved"
            time.sleep(0.01)
        assert json.loads((tmp_path / "run.json").read_text())["model"] == "m"
    assert not (tmp_path / "lease.json").exists()


def test_a_full_disk_ends_no_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failed = FolderStorage.write, threading.Event()

    def is_full_once(storage: FolderStorage, key: str, content: bytes) -> None:
        if key == "lease.json" and storage.exists(key) and not failed.is_set():
            failed.set()
            raise OSError(28, "No space left on device")
        write(storage, key, content)

    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(FolderStorage, "write", is_full_once)
    with lease(tmp_path, "m"):
        assert failed.wait(10)
        first = (tmp_path / "lease.json").read_text()
        assert wait_until(lambda: (tmp_path / "lease.json").read_text() != first), "the heartbeat ended"


def test_a_failed_run_gives_its_lease_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lease(tmp_path, "m"):
        raise RuntimeError("failed")
    assert not (tmp_path / "lease.json").exists()


def test_a_run_waits_while_a_cleanup_is_at_work(plant: Plant) -> None:
    ended_s: list[float] = []

    def clean_up() -> None:
        with sweeping(open_storage(plant.work)):
            begun.set()
            leased = wait_until(lambda: any(plant.work.glob("runs/*/lease.json")))
            time.sleep(1)  # a run that did not wait would begin its first step meanwhile
            ended_s.append(time.time() if leased else math.inf)

    begun = threading.Event()
    thread = threading.Thread(target=clean_up)
    thread.start()
    begun.wait()
    outcome = plant.run()
    thread.join()
    assert outcome.records["ingest"].started_s >= ended_s[0]


def wait_until(what: Callable[[], bool]) -> bool:
    deadline = time.time() + 10
    while not what() and time.time() < deadline:
        time.sleep(0.01)
    return what()
