"""A cleanup that is killed at any moment leaves nothing reachable half gone, and the next one ends its work."""

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
