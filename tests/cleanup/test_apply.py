import errno
import json

import pytest

from components.cleanup import cleanup as module
from components.cleanup import log
from components.cleanup.cleanup import clean_up, plan
from components.cleanup.config import Retention
from components.errors import UserError
from components.storage.folder import FolderStorage
from components.storage.storage import Upload

NOW_S = 20_000 * 86_400 + 43_200.0
OLD_S = NOW_S - 100 * 86_400


def lines(work):
    return [json.loads(line) for line in (work.path / "cleanup/flights/log.jsonl").read_text().splitlines()]


def test_cleaning_up_frees_what_the_plan_says(work):
    folder, kept = work.outputs(OLD_S), work.outputs(NOW_S)
    planned = work.whole_plan().deletions
    assert planned[0].bytes == 5
    assert "2024-0" in planned[0].why
    outcome = work.clean_up()
    assert (outcome.freed, outcome.failed, outcome.freed_bytes) == (planned, [], 5)
    assert work.names("pipeline") == {kept.rpartition("/")[2]}
    assert work.plan() == []
    assert lines(work) == [{"time_s": NOW_S, "path": folder, "bytes": 5, "why": planned[0].why}]


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(work, monkeypatch):
    stuck, free = work.outputs(OLD_S), work.outputs(OLD_S - 1)
    remove = FolderStorage.remove

    def refuse(storage, prefix, *order):
        if prefix == stuck:
            raise PermissionError("Operation not permitted")
        remove(storage, prefix, *order)

    monkeypatch.setattr(FolderStorage, "remove", refuse)
    outcome = work.clean_up()
    assert [item.path for item in outcome.freed] == [free]
    assert [(item.path, item.error) for item in outcome.failed] == [(stuck, "Operation not permitted")]
    assert {"time_s": NOW_S, "path": stuck, "error": "Operation not permitted"} in lines(work)


def test_what_is_written_to_after_planning_stays(work, monkeypatch):
    folder = work.outputs(OLD_S)
    remove = module.remove

    def written_meanwhile(storage, deletion):
        work.file(f"{folder}/evaluate/chosen/variant.json", NOW_S)
        remove(storage, deletion)

    monkeypatch.setattr(module, "remove", written_meanwhile)
    outcome = work.clean_up()
    assert "was written to meanwhile" in outcome.failed[0].error
    assert (work.path / folder / "train/model/weights.h5").exists()


def test_the_log_is_bounded_and_keeps_the_newest(work, monkeypatch):
    monkeypatch.setattr(log, "MOST_BYTES", 600)
    monkeypatch.setattr(module, "BATCH", 1)
    folders = [work.outputs(OLD_S + number) for number in range(10)]
    work.clean_up()
    before = (work.path / "cleanup/flights/log.1.jsonl").read_text().splitlines()
    kept = [json.loads(line)["path"] for line in before] + [line["path"] for line in lines(work)]
    assert 2 <= len(kept) < 10 and kept == folders[-len(kept) :]


def test_what_is_spared_or_not_reached_is_logged_as_staying(work, monkeypatch):
    for _ in range(3):
        work.version()
    monkeypatch.setattr(module, "remove_version", lambda situation, path: False)
    assert work.clean_up(versions=1).failed == []
    assert [line["path"][-1] for line in lines(work) if "error" in line] == ["1", "2"]

    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(module, "remove_version", broken)
    with pytest.raises(RuntimeError):
        work.clean_up(versions=1)
    assert [line["path"][-1] for line in lines(work) if "error" in line] == ["1", "2", "1", "2"]


def test_a_folder_that_cannot_be_listed_stops_only_what_depends_on_it(work, monkeypatch):
    outputs, entries = work.outputs(OLD_S), FolderStorage.entries
    work.run("mine", OLD_S)
    work.run("wine-run", OLD_S, model="wine")

    def refuse(storage, prefix=""):
        if prefix in ("runs", "runs/wine-run"):
            raise PermissionError("Permission denied")
        return entries(storage, prefix)

    monkeypatch.setattr(FolderStorage, "entries", refuse)
    planned = work.whole_plan()
    assert [item.path for item in planned.deletions] == [outputs]
    assert "runs/wine-run cannot be listed" in planned.notes[0]


def test_a_server_that_refuses_uploads_stops_nothing_else(work, monkeypatch):
    folder = work.outputs(OLD_S)
    upload = Upload("data/flights/x", "id", OLD_S)
    monkeypatch.setattr(FolderStorage, "uploads", lambda *_: iter([upload]))

    def refuse(*_):
        raise OSError("not implemented")

    monkeypatch.setattr(FolderStorage, "abort", refuse)
    outcome = work.clean_up()
    assert [item.path for item in outcome.freed] == [folder]
    assert {item.error for item in outcome.failed} == {"not implemented"}
    monkeypatch.setattr(FolderStorage, "uploads", refuse)
    assert "cannot be listed (not implemented)" in work.clean_up().notes[0]


def test_a_log_that_cannot_be_written_keeps_nothing_from_going(work, monkeypatch):
    folder = work.outputs(OLD_S)
    write = FolderStorage.write

    def full(storage, key, content):
        if key.endswith("log.jsonl"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(storage, key, content)

    monkeypatch.setattr(FolderStorage, "write", full)
    assert [item.path for item in work.clean_up().freed] == [folder]


def test_what_models_share_is_planned_and_freed_once(work):
    work.file("checkpoints/bb/checkpoint/progress.json", OLD_S)
    retentions = {"flights": Retention(), "wine": Retention()}
    planned = plan(work.path, retentions, NOW_S)
    assert [len(planned[model].deletions) for model in retentions] == [1, 0]
    outcomes = clean_up(work.path, retentions, NOW_S)
    assert [len(outcomes[model].freed) for model in retentions] == [1, 0]


@pytest.mark.parametrize("model", ["../wine", "", "flights/..", "a.*"])
def test_a_name_that_is_no_models_is_refused(work, model):
    with pytest.raises(UserError, match="cannot be a model's name"):
        work.plan(model=model)


def test_an_empty_or_missing_work_directory_has_nothing_to_free(work):
    assert work.plan() == []
    assert plan(work.path / "none", {"flights": Retention()}, NOW_S)["flights"].deletions == []
    assert not (work.path / "none").exists()
