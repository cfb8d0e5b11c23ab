import os
import time

import pytest

from components import artifacts
from components.artifacts import read_records, recorded, run_folder, write_json
from components.cleanup.cleanup import Outcome
from components.cleanup.config import Retention
from components.cleanup.deletion import Failure
from components.cleanup.sweep import sweeping
from components.finish import finish as module
from components.finish.config import FinishConfig
from components.finish.finish import finish
from components.storage.open import open_storage

OLD = "pipeline/evergreen-flights-2013-01-01-00-00-00-000000"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose work directory holds outputs that are many generations old."""
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "this-run")
    write_json(run_folder(tmp_path, "this-run") / "run.json", {"model": "flights", "started_s": time.time()})
    write_json(tmp_path / OLD / "train" / "model.json", {})
    age(tmp_path / OLD)
    return tmp_path


def age(folder):
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (1e9, 1e9))


def finished(work):
    finish(FinishConfig(retention=Retention()), work, "flights", work / "pipeline" / "now" / "report")
    return read_records(run_folder(work, "this-run"))["finish"]


def report_of(work):
    return (run_folder(work, "this-run") / "report.html").read_text(encoding="utf-8")


def test_it_frees_what_is_old_and_reports_it(run):
    record = finished(run)
    assert record.status == "done"
    assert [item["path"] for item in record.details["freed"]] == [OLD]
    assert record.details["freed_bytes"] == record.details["freed"][0]["bytes"] > 0
    assert record.details["saved_a_month"] == pytest.approx(record.details["freed_bytes"] * 0.023e-9)
    assert [record.details[key] for key in ("kept", "failed", "notes")] == [1, [], []]
    assert not (run / OLD).exists()
    assert "evergreen-flights-2013-01-01" in report_of(run)


def test_the_pipeline_gets_a_copy_of_the_report(run):
    finished(run)
    assert (run / "pipeline" / "now" / "report").read_text(encoding="utf-8") == report_of(run)


def test_a_run_without_any_record_is_reported(run):
    assert finished(run).status == "done"
    assert "flights" in report_of(run)


def test_a_failed_run_is_reported_and_cleaned_up(run):
    with pytest.raises(ValueError, match="disk full"), recorded("ingest", run):
        raise ValueError("disk full")
    assert finished(run).details["freed"]
    assert "disk full" in report_of(run)


def test_a_step_that_was_killed_is_reported(run):
    record = {"step": "train", "run": "this-run", "started_s": time.time(), "status": "running"}
    write_json(run_folder(run, "this-run") / "records" / "train.json", record)
    assert finished(run).status == "done"
    assert "train" in report_of(run)


def test_the_report_is_there_even_when_cleaning_up_fails(run, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(module, "clean_up", broken)
    with pytest.raises(RuntimeError, match="no such luck"):
        finished(run)
    assert "no such luck" in report_of(run)
    assert (run / OLD).exists()


def test_the_report_is_there_even_when_cleaning_up_is_killed(run, monkeypatch):
    reports = []
    nothing = {"flights": Outcome([], [], [], 1)}
    monkeypatch.setattr(module, "clean_up", lambda *_: reports.append(report_of(run)) or nothing)
    finished(run)
    assert len(reports) == 1


def test_what_cannot_be_deleted_does_not_fail_the_run(run, monkeypatch):
    stuck = {"flights": Outcome([], [Failure(OLD, "busy")], [], 1)}
    monkeypatch.setattr(module, "clean_up", lambda *_: stuck)
    record = finished(run)
    assert record.status == "done"
    assert record.details["failed"] == [{"path": OLD, "error": "busy"}]


def test_a_run_that_ends_while_another_cleans_up_leaves_that_to_it(run):
    with sweeping(open_storage(run)):
        record = finished(run)
    assert record.status == "done"
    assert "another cleanup is at work" in record.details["notes"][0]
    assert (run / OLD).exists()


def test_a_run_of_a_cluster_is_signed_so_that_cleanup_knows_whose_it_is(run):
    run_json = run_folder(run, "this-run") / "run.json"
    run_json.unlink()
    record = {"step": "ingest", "run": "this-run", "started_s": 1234.5, "status": "done"}
    write_json(run_folder(run, "this-run") / "records" / "ingest.json", record)
    assert finished(run).details["kept"] == 1
    assert artifacts.read_json(run_json) == {"model": "flights", "started_s": 1234.5}


def test_a_disk_on_which_cleanup_cannot_even_begin_does_not_fail_the_run(run, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "clean_up", full)
    record = finished(run)
    assert (record.status, record.details["notes"]) == ("done", ["No space left on device"])
