import os

import pytest

from components.storage.process import this_process

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
OLD_S = NOW_S - 100 * DAY_S


def test_the_newest_runs_of_the_model_stay(work):
    runs = [work.run(f"run{number}", NOW_S - number * 60) for number in range(5)]
    work.run("wine-run", 0, model="wine")
    assert set(work.plan(runs=3)) == set(runs[3:])
    assert work.whole_plan(runs=3).kept_runs == 3


def test_runs_that_made_a_version_or_are_in_progress_stay(work, monkeypatch):
    for name in ("made", "own"):
        work.run(name, NOW_S - 1e6)
    old = work.run("old", NOW_S - 1e6)
    work.run("new", NOW_S)
    work.run("running", NOW_S - 1e6, heartbeat_s=NOW_S)
    work.version(run="made")
    work.version(run="of-wine", model="wine")
    monkeypatch.setenv("EVERGREEN_RUN", "own")
    assert work.plan(runs=1) == [old]


def test_no_run_goes_while_a_lineage_cannot_be_read(work):
    old = work.run("old", OLD_S)
    work.run("new", NOW_S)
    lineage = work.version(run="x").path / "lineage.json"
    content = lineage.read_bytes()
    lineage.write_bytes(b"{")
    planned = work.whole_plan(runs=1)
    assert planned.deletions == []
    assert len(planned.notes) == 1 and "lineage.json cannot be read" in planned.notes[0]
    lineage.write_bytes(content)
    assert work.plan(runs=1) == [old]


def test_a_lease_counts_until_its_heartbeat_is_a_quarter_of_an_hour_old(work):
    outputs, leftover = work.outputs(OLD_S), work.file("data/flights/.x.1.tmp", NOW_S - 10 * DAY_S)
    work.run("other", NOW_S - 60, heartbeat_s=NOW_S - 14 * 60)
    assert work.plan() == []
    work.run("other", NOW_S - 60, heartbeat_s=NOW_S - 16 * 60)
    assert set(work.plan()) == {outputs, str(leftover.relative_to(work.path))}


def test_a_lease_of_a_dead_process_of_this_machine_does_not_count(work):
    outputs = work.outputs(OLD_S)
    work.run("other", NOW_S)
    lease = {**this_process(), "heartbeat_s": OLD_S}
    work.json("runs/other/lease.json", OLD_S, lease)
    assert work.plan() == [], "a living one counts whatever its heartbeat"
    work.json("runs/other/lease.json", NOW_S, lease | {"pid": 2**22 + 1})
    assert work.plan() == [outputs]


def test_a_lease_that_cannot_be_read_counts_by_its_time(work):
    outputs = work.outputs(OLD_S)
    work.run("other", NOW_S - 3600)
    lease = work.file("runs/other/lease.json", NOW_S - 60, b"{")
    assert work.plan() == []
    os.utime(lease, (NOW_S - 3600, NOW_S - 3600))
    assert work.plan() == [outputs]


def test_runs_of_other_models_and_the_own_run_do_not_hold_cleanup_up(work, monkeypatch):
    outputs = work.outputs(OLD_S)
    work.run("wine-run", NOW_S, heartbeat_s=NOW_S, model="wine")
    work.run("own", NOW_S, heartbeat_s=NOW_S)
    assert work.plan() == []
    monkeypatch.setenv("EVERGREEN_RUN", "own")
    assert work.plan() == [outputs]


@pytest.mark.parametrize("name", ["on-a-cluster", "unnamed"])
def test_a_run_that_keeps_no_lease_is_in_progress_for_a_day_or_until_it_finishes(work, name):
    outputs = work.outputs(OLD_S)
    work.json(f"runs/{name}/records/train.json", NOW_S - 0.9 * DAY_S, {})
    assert work.plan() == work.plan(model="wine") == []
    work.json(f"runs/{name}/records/finish.json", NOW_S - 0.9 * DAY_S, {})
    assert work.plan() == [outputs]
    (work.path / f"runs/{name}/records/finish.json").unlink()
    work.json(f"runs/{name}/records/train.json", NOW_S - 1.1 * DAY_S, {})
    assert work.plan() == [outputs]


def test_a_run_of_which_nobody_knows_whose_it_is_goes_when_nobody_is_at_work(work):
    work.file("runs/lost/records/train.json", OLD_S)
    work.file("runs/made/records/train.json", OLD_S)
    work.version(run="made", model="wine")
    assert work.plan() == ["runs/lost"]
    work.run("other", NOW_S, heartbeat_s=NOW_S, model="wine")
    assert work.plan() == []


def test_a_step_at_work_holds_cleanup_up_after_the_run_had_ended_once(work):
    outputs = work.outputs(OLD_S)
    work.run("retried", OLD_S)
    work.json("runs/retried/records/finish.json", OLD_S, {})
    lease = {**this_process(), "started": None, "machine": "elsewhere", "heartbeat_s": NOW_S}
    work.json("runs/retried/leases/train.json", NOW_S, lease)
    assert work.plan() == []
    work.json("runs/retried/leases/train.json", OLD_S, lease | {"heartbeat_s": OLD_S})
    assert work.plan() == [outputs]
    work.json("runs/retried/leases/train.json", OLD_S, lease | {"heartbeat_s": NOW_S + 1e9, "pid": float("1e300")})
    assert work.plan() == [outputs], "the future holds nobody up"


def test_the_longest_generation_with_which_a_recent_run_looked_counts(work):
    work.outputs(OLD_S)
    work.run("recent", NOW_S)
    work.json("runs/recent/records/resolve.json", NOW_S, {"details": {"days": 100}})
    assert work.plan() == []
    work.json("runs/recent/records/resolve.json", NOW_S, {"details": {"days": 30}})
    assert len(work.plan()) == 1
