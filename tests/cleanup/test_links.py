"""Symbolic links are neither followed nor deleted."""

import os
import shutil

import pytest

from components.cleanup import cleanup as module
from components.cleanup.cleanup import plan
from components.cleanup.config import Retention

NOW_S = 20_000 * 86_400 + 43_200.0
OLD_S = NOW_S - 100 * 86_400


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
        "data",
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
    (elsewhere / ".deleted-a.1.tmp").mkdir()
    before = sorted(elsewhere.rglob("*"))
    link(work.path / name, elsewhere)
    assert work.plan() == []
    work.clean_up()
    assert sorted(elsewhere.rglob("*")) == before


def test_a_link_inside_a_folder_that_goes_is_removed_but_not_what_it_points_to(work, elsewhere):
    folder = work.outputs(OLD_S)
    link(work.path / folder / "link", elsewhere)
    outcome = work.clean_up()
    assert ([item.path for item in outcome.freed], outcome.failed) == ([folder], [])
    assert (elsewhere / "precious").read_text() == "precious"


def test_a_folder_that_became_a_link_after_planning_stays(work, elsewhere, monkeypatch):
    folder = work.outputs(OLD_S)
    remove = module.remove

    def linked_meanwhile(storage, deletion):
        (elsewhere / deletion.path.rpartition("/")[2]).mkdir()
        shutil.rmtree(work.path / "pipeline")
        link(work.path / "pipeline", elsewhere)
        remove(storage, deletion)

    monkeypatch.setattr(module, "remove", linked_meanwhile)
    outcome = work.clean_up()
    assert outcome.freed == []
    assert "symbolic link" in outcome.failed[0].error
    assert (elsewhere / folder.rpartition("/")[2]).exists()


def test_a_work_directory_behind_a_link_is_cleaned_up(work, tmp_path):
    folder = work.outputs(OLD_S)
    link(tmp_path / "short", work.path)
    planned = plan(tmp_path / "short", {"flights": Retention()}, NOW_S)["flights"]
    assert [item.path for item in planned.deletions] == [folder]


@pytest.mark.parametrize("name", ["models", "models/flights", "models/flights/versions", "models/flights/versions/1"])
def test_what_a_version_behind_a_link_needs_stays(work, tmp_path, name):
    for number in (1, 2):
        work.partition(f"p{number}")
        work.snapshot(f"s{number}", [f"p{number}"], OLD_S + number)
        work.run(f"run{number}", OLD_S + number)
    work.store.point("serving", work.version(run="run1", snapshot="s1"))
    shutil.move(work.path / name, tmp_path / "moved")
    link(work.path / name, tmp_path / "moved")
    assert work.store.pointed("serving").number == 1
    planned = work.whole_plan(runs=1)
    assert planned.deletions == [] and planned.notes


def test_a_folder_of_runs_behind_a_link_may_hold_one_in_progress(work, tmp_path):
    outputs = work.outputs(OLD_S)
    (tmp_path / "moved").mkdir()
    assert work.plan() == [outputs]
    link(work.path / "runs", tmp_path / "moved")
    assert work.plan() == [] and "symbolic link" in work.whole_plan().notes[0]
