import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.cleanup import cleanup
from components.cleanup.cleanup import apply, generation, plan
from components.cleanup.config import Retention
from components.errors import UserError

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0


@given(st.floats(0, 4e9), st.integers(1, 400))
def test_a_generation_lasts_its_days_and_never_goes_back(now_s, days):
    current = generation(now_s, days)
    assert generation(now_s + days * DAY_S, days) == current + 1
    assert current * days * DAY_S <= now_s < (current + 1) * days * DAY_S


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.floats(0, 200), min_size=1, max_size=6, unique=True), days=st.integers(1, 60))
def test_outputs_of_the_current_and_the_previous_generation_always_stay(work, ages, days):
    shutil.rmtree(work.path)
    folders = {work.outputs(NOW_S - age * DAY_S): NOW_S - age * DAY_S for age in ages}
    planned = set(work.plan(days=days))
    for folder, time_s in folders.items():
        assert (folder in planned) == (generation(time_s, days) < generation(NOW_S, days) - 1)


def test_one_young_file_or_a_young_name_keeps_a_folder(work):
    old_s = NOW_S - 100 * DAY_S
    touched, renamed, old = work.outputs(old_s), work.outputs(old_s - 1, named_s=NOW_S), work.outputs(old_s - 2)
    os.utime(touched / "train" / "model" / "weights.h5", (NOW_S, NOW_S))
    assert work.plan() == [old]
    assert renamed.exists()


@pytest.mark.parametrize("pipeline", ["evergreen-flights-eu", "evergreen-wine", "other", "xevergreen-flights"])
def test_outputs_of_other_models_stay(work, pipeline):
    mine = work.outputs(NOW_S - 100 * DAY_S)
    work.outputs(NOW_S - 100 * DAY_S, pipeline)
    work.file("pipeline/evergreen-flights-notes/a", 0)
    work.file("pipeline/evergreen-flights-2013-99-99-00-00-00-000000/a", 0)
    work.file("pipeline/.kfp_cache/key.json", 0)
    assert work.plan() == [mine]


def test_data_and_versions_stay_however_old_they_are(work):
    work.file("data/flights/partitions/ab/rows.parquet", 0)
    work.file("data/flights/snapshots/cd/snapshot.json", 0)
    work.file("models/flights/versions/1/weights.h5", 0)
    work.file("models/flights/pointers/serving.json", 0)
    work.file("source/flights/2013-01.parquet", 0)
    assert work.plan() == []


def test_while_another_run_is_in_progress_nothing_goes_that_it_may_use(work):
    outputs, leftover = work.outputs(NOW_S - 100 * DAY_S), work.file("data/flights/.x.1.tmp", NOW_S - 10 * DAY_S)
    work.run("other", NOW_S - 60, heartbeat_s=NOW_S - 14 * 60)
    assert work.plan() == []
    work.run("other", NOW_S - 60, heartbeat_s=NOW_S - 16 * 60)
    assert set(work.plan()) == {outputs, leftover}


def test_runs_of_other_models_and_the_own_run_do_not_hold_cleanup_up(work, monkeypatch):
    outputs = work.outputs(NOW_S - 100 * DAY_S)
    work.run("wine-run", NOW_S, heartbeat_s=NOW_S, model="wine")
    work.run("own", NOW_S, heartbeat_s=NOW_S)
    assert work.plan() == []
    monkeypatch.setenv("EVERGREEN_RUN", "own")
    assert work.plan() == [outputs]


def test_a_lease_that_cannot_be_read_counts_by_its_time(work):
    outputs = work.outputs(NOW_S - 100 * DAY_S)
    work.run("other", NOW_S - 60)
    lease = work.file("runs/other/lease.json", NOW_S - 60, b"{")
    assert work.plan() == []
    os.utime(lease, (NOW_S - 3600, NOW_S - 3600))
    assert work.plan() == [outputs]


def test_the_newest_runs_of_the_model_stay(work):
    runs = [work.run(f"run{number}", NOW_S - number * 60) for number in range(5)]
    work.run("wine-run", 0, model="wine")
    work.file("runs/unnamed/records/ingest.json", 0)
    assert set(work.plan(runs=3)) == set(runs[3:])


def test_runs_that_made_a_version_or_are_in_progress_stay(work, monkeypatch):
    made, running, own, old = (work.run(name, NOW_S - 1e6) for name in ("made", "running", "own", "old"))
    work.run("new", NOW_S)
    work.run("running", NOW_S - 1e6, heartbeat_s=NOW_S)
    work.version(1, "made")
    work.version(2, "of-wine", model="wine")
    monkeypatch.setenv("EVERGREEN_RUN", "own")
    assert work.plan(runs=1) == [old]
    assert made.exists() and running.exists() and own.exists()


def test_no_run_goes_while_a_lineage_cannot_be_read(work):
    work.run("old", NOW_S - 1e6)
    work.run("new", NOW_S)
    damaged = work.file("models/flights/versions/1/lineage.json", NOW_S, b"{")
    assert work.plan(runs=1) == []
    damaged.unlink()
    assert work.plan(runs=1) == [work.path / "runs" / "old"]


def test_a_checkpoint_goes_when_nobody_went_on_with_it_for_a_week(work):
    work.file("checkpoints/aa/checkpoint/progress.json", NOW_S - 6 * DAY_S)
    work.file("checkpoints/aa/checkpoint/weights-1.npz", NOW_S - 100 * DAY_S)
    old = work.file("checkpoints/bb/checkpoint/progress.json", NOW_S - 8 * DAY_S)
    assert work.plan() == [old.parents[1]]


def test_leftovers_go_after_a_day(work):
    old_s, young_s = NOW_S - 1.1 * DAY_S, NOW_S - 0.9 * DAY_S
    work.run("run", NOW_S)
    old = {
        work.file("data/flights/partitions/.ab.123.tmp/rows.parquet", old_s).parent,
        work.file("models/flights/versions/.4.123.tmp/weights.h5", old_s).parent,
        work.file("models/flights/pointers/.serving.json.1.tmp", old_s),
        work.file("runs/run/records/.train.json.1.tmp", old_s),
    }
    work.file("data/flights/partitions/.cd.123.tmp/rows.parquet", young_s)
    work.file("data/flights/partitions/visible.tmp/rows.parquet", old_s)
    work.file("data/wine/partitions/.ab.123.tmp", old_s)
    half = work.file("data/flights/partitions/.ef.123.tmp/rows.parquet", old_s).parent
    work.file("data/flights/partitions/.ef.123.tmp/deep/rejected.parquet", young_s)
    os.utime(half, (old_s, old_s))
    assert set(work.plan()) == old


def test_what_lies_in_a_folder_that_goes_is_not_counted_twice(work):
    work.run("new", NOW_S)
    old = work.run("old", NOW_S - 1e6)
    work.file("runs/old/.report.html.1.tmp", NOW_S - 5 * DAY_S)
    assert work.plan(runs=1) == [old]


def test_applying_a_plan_frees_what_it_says(work):
    folder = work.outputs(NOW_S - 100 * DAY_S)
    kept = work.outputs(NOW_S)
    planned = plan(work.path, "flights", Retention(), NOW_S)
    assert planned[0].bytes >= 5
    assert "2024-0" in planned[0].why
    assert apply(planned) == (planned, [])
    assert [path.name for path in (work.path / "pipeline").iterdir()] == [kept.name]
    assert not folder.exists()
    assert work.plan() == []


def test_an_interrupted_cleanup_leaves_nothing_half_and_is_healed(work, monkeypatch):
    folder = work.outputs(NOW_S - 100 * DAY_S)
    run = work.run("old", NOW_S - 1e6)
    work.run("new", NOW_S)
    for victim in (folder, run):
        planned = [item for item in plan(work.path, "flights", Retention(runs=1), NOW_S) if item.path == victim]
        with monkeypatch.context() as patch:
            patch.setattr(cleanup.shutil, "rmtree", killed_after_one_file)
            with pytest.raises(KeyboardInterrupt):
                apply(planned)
        assert not victim.exists()
    planned = plan(work.path, "flights", Retention(runs=1), NOW_S)
    assert len(planned) == 2
    assert all(item.path.name.startswith(".deleted-") for item in planned)
    apply(planned)
    assert list((work.path / "pipeline").iterdir()) == []
    assert [path.name for path in (work.path / "runs").iterdir()] == ["new"]


def killed_after_one_file(path):
    next(one for one in path.rglob("*") if one.is_file()).unlink()
    raise KeyboardInterrupt


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(work, monkeypatch):
    stuck, free = work.outputs(NOW_S - 100 * DAY_S), work.outputs(NOW_S - 101 * DAY_S)
    rename = cleanup.Path.rename

    def refuse(path, target):
        if path == stuck:
            raise PermissionError("Operation not permitted")
        return rename(path, target)

    monkeypatch.setattr(cleanup.Path, "rename", refuse)
    freed, failed = apply(plan(work.path, "flights", Retention(), NOW_S))
    assert [item.path for item in freed] == [free]
    assert [(item.path, item.error) for item in failed] == [(stuck, "Operation not permitted")]


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    os.utime(folder / "precious", (0, 0))
    os.utime(folder, (0, 0))
    return folder


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    "name",
    [
        "pipeline/evergreen-flights-2013-01-01-00-00-00-000000",
        "data/flights/.x.1.tmp",
        "data/flights/partitions",
        "data/flights",
        "models/flights",
        "runs/old",
        "runs",
        "pipeline",
        "pipeline/.deleted-evergreen-flights-x.tmp",
    ],
)
def test_links_are_neither_followed_nor_deleted(work, elsewhere, name):
    old = elsewhere / "evergreen-flights-2013-01-01-00-00-00-000000"
    for path in (old / "weights.h5", elsewhere / ".y.1.tmp", elsewhere / "partitions" / ".z.tmp"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
        os.utime(path, (0, 0))
        os.utime(path.parent, (0, 0))
    before = sorted(elsewhere.rglob("*"))
    link(work.path / name, elsewhere)
    assert work.plan() == []
    assert sorted(elsewhere.rglob("*")) == before


def test_a_link_inside_a_folder_that_goes_is_removed_but_not_what_it_points_to(work, elsewhere):
    folder = work.outputs(NOW_S - 100 * DAY_S)
    link(folder / "link", elsewhere)
    os.utime(folder / "link", (0, 0), follow_symlinks=False)
    os.utime(folder, (0, 0))
    freed, failed = apply(plan(work.path, "flights", Retention(), NOW_S))
    assert ([item.path for item in freed], failed) == ([folder], [])
    assert (elsewhere / "precious").read_text() == "precious"


def test_a_folder_that_became_a_link_after_planning_stays(work, elsewhere):
    folder = work.outputs(NOW_S - 100 * DAY_S)
    planned = plan(work.path, "flights", Retention(), NOW_S)
    (elsewhere / folder.name).mkdir()
    shutil.rmtree(work.path / "pipeline")
    link(work.path / "pipeline", elsewhere)
    freed, failed = apply(planned)
    assert freed == []
    assert "symbolic link" in failed[0].error
    assert (elsewhere / folder.name).exists()


def test_a_work_directory_behind_a_link_is_cleaned_up(work, tmp_path):
    folder = work.outputs(NOW_S - 100 * DAY_S)
    link(tmp_path / "short", work.path)
    assert [item.path for item in plan(tmp_path / "short", "flights", Retention(), NOW_S)] == [folder]


@pytest.mark.parametrize("model", ["../wine", "", "flights/..", "a.*"])
def test_a_name_that_is_no_models_is_refused(work, model):
    with pytest.raises(UserError, match="cannot be a model's name"):
        work.plan(model=model)


def test_an_empty_or_missing_work_directory_has_nothing_to_free(work):
    assert work.plan() == []
    assert plan(work.path / "none", "flights", Retention(), NOW_S) == []
