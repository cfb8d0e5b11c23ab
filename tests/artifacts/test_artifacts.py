import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from components import artifacts
from components.artifacts import Partition, Snapshot, atomic_folder, read_records, recorded, write_bytes, write_json
from components.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "run-1")


def _record(work: Path, step: str) -> artifacts.Record:
    return read_records(artifacts.run_folder(work, "run-1"))[step]


def test_a_step_leaves_a_record_with_its_time(tmp_path: Path) -> None:
    with recorded("train", tmp_path) as details:
        assert _record(tmp_path, "train").status == "running"
        details["epochs"] = 3
    record = _record(tmp_path, "train")
    assert record.status == "done" and record.run == "run-1" and record.details == {"epochs": 3}
    assert 0 <= record.seconds < 5


def test_a_failed_step_keeps_its_error_whatever_its_details_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"), recorded("train", tmp_path) as details:
        details.update(loss=float("nan"), rows=np.int64(3), path=Path("x"), nested={"auc": [np.float32("inf")]})
        raise ValueError("no rows")
    record = _record(tmp_path, "train")
    assert (record.status, record.error) == ("failed", "ValueError: no rows")
    assert record.details == {"loss": None, "rows": 3, "path": "x", "nested": {"auc": [None]}}


def test_what_a_user_is_to_read_is_recorded_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError), recorded("train", tmp_path):
        raise UserError("there are no rows; bring some")
    assert _record(tmp_path, "train").error == "there are no rows; bring some"


def test_a_killed_step_stays_running(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from components.artifacts import recorded
with recorded("train", pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False)
    assert done.returncode == -9
    assert _record(tmp_path, "train").status == "running"


def test_records_travel_with_artifacts_to_runs_that_took_them_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, model = tmp_path / "examples", tmp_path / "model"
    examples.mkdir()
    model.mkdir()
    with recorded("preprocess", tmp_path, (), examples):
        pass
    with recorded("train", tmp_path, [examples], model):
        pass
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "run-2")
    with recorded("evaluate", tmp_path, [model]):
        pass
    records = read_records(artifacts.run_folder(tmp_path, "run-2"))
    assert {step: record.run for step, record in records.items()} == {
        "preprocess": "run-1",
        "train": "run-1",
        "evaluate": "run-2",
    }


def test_this_runs_own_record_is_not_replaced_by_a_carried_one(tmp_path: Path) -> None:
    old = tmp_path / "old"
    write_json(old / artifacts.RECORDS / "train.json", {"step": "train", "run": "run-0", "started_s": 0.0})
    with recorded("train", tmp_path):
        pass
    with recorded("evaluate", tmp_path, [old]):
        pass
    assert _record(tmp_path, "train").run == "run-1"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "made") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "made") as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["whole"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "pointer.json", {"version": 1})

    def disk_full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "pointer.json", {"version": 2})
    assert json.loads((tmp_path / "pointer.json").read_text()) == {"version": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["pointer.json"]


def test_a_snapshot_is_written_once(tmp_path: Path) -> None:
    snapshot = Snapshot("abc", (Partition("d1", "a.csv", 3, 1, {}),), tmp_path)
    snapshot.write()
    before = (snapshot.path / "snapshot.json").stat().st_mtime_ns
    snapshot.write()
    assert (snapshot.path / "snapshot.json").stat().st_mtime_ns == before
    assert Snapshot.read(snapshot.path) == snapshot
    assert snapshot.rows == 3


def test_bytes_are_written_below_new_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b", b"x")
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


def test_a_run_without_a_name_begins_without_the_records_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(artifacts.RUN_VARIABLE)
    for steps in (("ingest", "deploy"), ("ingest",)):
        for step in steps:
            with recorded(step, tmp_path):
                pass
    assert set(read_records(artifacts.run_folder(tmp_path, artifacts.UNNAMED_RUN))) == {"ingest"}


def test_requests_of_two_servers_are_read_in_the_order_of_their_time(tmp_path: Path) -> None:
    for name, times in (("1", (10.0, 40.0)), ("2", (20.0, 30.0))):
        lines = [json.dumps({"time_s": time_s, "instance": {}}) for time_s in times]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + '\n{"time_s": 5')
    assert [line["time_s"] for line in artifacts.read_requests(tmp_path, 10)] == [10, 20, 30, 40]
    assert artifacts.read_requests(tmp_path / "none", 10) == []


def test_a_step_at_work_holds_a_lease_with_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "HEARTBEAT_S", 0.01)
    path = artifacts.run_folder(tmp_path, "run-1") / artifacts.LEASES / "train.json"
    with recorded("train", tmp_path):
        first = artifacts.read_json(path)
        assert first["pid"] == os.getpid()
        end_s = time.monotonic() + 30
        while artifacts.read_json(path) == first and time.monotonic() < end_s:
            time.sleep(0.01)
        assert artifacts.read_json(path)["heartbeat_s"] > first["heartbeat_s"]
    assert not path.exists()
