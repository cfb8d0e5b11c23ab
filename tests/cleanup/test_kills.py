"""A cleanup that is killed at any moment leaves nothing reachable half gone, and the next one ends its work."""

import multiprocessing
import shutil
import time

import pytest

from components.cleanup.cleanup import clean_up
from components.store import ModelStore
from tests.cleanup.house import DAYS_LATER_S, GOING, RETENTION, build, check, files, staying
from tests.cleanup.killing import was_killed


def check_after_a_kill(work, before):
    left = files(work)
    assert left >= staying(before)
    check(work)
    outcome = clean_up(work, {"flights": RETENTION}, time.time() + DAYS_LATER_S)["flights"]
    assert outcome.failed == []
    assert outcome.notes == []
    assert files(work) == staying(before)
    assert ModelStore(work, "flights").doomed() == []
    check(work)


def is_whole_or_gone(left, before, path):
    """Whether a reader who follows a path finds all or nothing."""
    own = {key for key in before if key.startswith(f"{path}/")}
    return own <= left or not own & left


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_kill_at_any_change_of_a_disk(tmp_path, every):
    build(tmp_path / "built")
    before = files(tmp_path / "built")
    for nth in range(1, 10_000, every):
        work = tmp_path / str(nth)
        shutil.copytree(tmp_path / "built", work)
        killed = was_killed(work, time.time() + DAYS_LATER_S, nth)
        left = files(work)
        assert all(is_whole_or_gone(left, before, path) for path in GOING)
        check_after_a_kill(work, before)
        shutil.rmtree(work)
        if not killed:
            break
    assert nth > 50, "there were changes to be killed at"


def test_deleting_in_place_is_found(tmp_path, monkeypatch):
    """Instead of renaming first: the test above must fail then."""

    def remove(self, prefix, first=()):
        self.delete(sorted((entry.key for entry in self.entries(prefix)), reverse=True))

    monkeypatch.setattr("components.storage.folder.FolderStorage.remove", remove)
    forking = multiprocessing.get_context("fork")  # a process that has the mistake too
    monkeypatch.setattr("tests.cleanup.killing.multiprocessing.get_context", lambda _: forking)
    with pytest.raises(AssertionError):
        test_a_kill_at_any_change_of_a_disk(tmp_path, 7)
