import json
import time
from pathlib import Path

import pytest

from components.orchestration import lease as lease_module
from components.orchestration.lease import lease


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


def test_a_failed_run_gives_its_lease_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lease(tmp_path, "m"):
        raise RuntimeError("failed")
    assert not (tmp_path / "lease.json").exists()
