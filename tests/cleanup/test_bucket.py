"""Cleanup on a real S3 server does what it does on a folder."""

import json
import time

import pytest
import s3fs

from components.cleanup.__main__ import main
from components.cleanup.cleanup import clean_up, plan
from components.cleanup.config import Retention
from components.storage.open import open_storage
from tests.cleanup.house import DAYS_LATER_S, GOING, RETENTION, build, check, files, staying
from tests.cleanup.killing import was_killed
from tests.cleanup.test_kills import check_after_a_kill


def planned(root, now_s, retention=RETENTION):
    return {item.path: item for item in plan(root, {"flights": retention}, now_s)["flights"].deletions}


def test_it_frees_the_same_as_in_a_folder(s3_root, tmp_path):
    now_s = time.time() + DAYS_LATER_S
    for work in (s3_root, tmp_path):
        build(work)
        before = files(work)
        assert set(planned(work, now_s)) == GOING
        outcome = clean_up(work, {"flights": RETENTION}, now_s)["flights"]
        assert (outcome.failed, {item.path for item in outcome.freed}) == ([], GOING)
        assert files(work) == staying(before)
        check(work)
    log = open_storage(s3_root).read("cleanup/flights/log.jsonl").splitlines()
    assert {json.loads(line)["path"] for line in log} == GOING


def test_nothing_young_goes(s3_root):
    build(s3_root)
    assert planned(s3_root, time.time(), Retention()) == {}


def test_a_run_in_progress_elsewhere_holds_on_s3_too(s3_root):
    build(s3_root)
    now_s = time.time() + DAYS_LATER_S
    lease = {"machine": "elsewhere", "pid": 1, "model": "flights", "heartbeat_s": now_s - 60}
    open_storage(s3_root).write("runs/run0/lease.json", json.dumps(lease).encode())
    assert set(planned(s3_root, now_s)) == {"requests/flights/a.jsonl"}


def test_uploads_that_were_never_finished_are_freed(s3_root, tmp_path):
    build(s3_root)
    storage = open_storage(s3_root)
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    for key in ("data/flights/partitions/p9/rows.parquet", "data/wine/partitions/p9/rows.parquet"):
        s3fs.S3FileSystem().call_s3("create_multipart_upload", Bucket=bucket, Key=f"{prefix}/{key}")
    clean_up(s3_root, {"flights": Retention()}, time.time())
    assert len(list(storage.uploads())) == 2
    clean_up(s3_root, {"flights": RETENTION}, time.time() + DAYS_LATER_S)
    assert [upload.key for upload in storage.uploads()] == ["data/wine/partitions/p9/rows.parquet"]


def test_the_command_takes_a_bucket(s3_root, capsys):
    build(s3_root)
    assert main(["--work", s3_root, "--all", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "What may go of flights: nothing." in shown and "What may go of wine: nothing." in shown


@pytest.mark.parametrize("every", [15, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_kill_at_any_change_of_a_bucket(s3_root, every):
    for nth in range(1, 1000, every):
        work = f"{s3_root}/{nth}"
        build(work)
        before = files(work)
        killed = was_killed(work, time.time() + DAYS_LATER_S, nth)
        check_after_a_kill(work, before)
        if not killed:
            break
    assert nth > 20, "there were changes to be killed at"
