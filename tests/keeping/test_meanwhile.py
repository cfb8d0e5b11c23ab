"""Each thing that can happen before each step of a small cleanup: what the property test meets by chance only."""

import itertools
import shutil

import pytest

from components.cleanup import cleanup
from components.cleanup.config import Retention
from components.errors import UserError
from components.store.marks import Marks
from tests.keeping.deeds import MEANWHILE, Deeds
from tests.keeping.interruptions import Interruptions
from tests.keeping.pretence import Pretence
from tests.keeping.world import DAY_S, Model, World


@pytest.fixture
def deeds(tmp_path, monkeypatch):
    pretence, interruptions = Pretence(monkeypatch), Interruptions(monkeypatch, is_folder=True)

    def begin():
        """Of four versions the first is the base of the second, and nobody names these two."""
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        world = World(tmp_path / "work", pretence)
        world.models = {"flights": Model("flights", Retention(days=1, runs=1, versions=3))}
        done = Deeds(world, interruptions)
        for cold in (True, False, True, True):
            done.end(done.begin("flights", "here", "more"), True, cold, None)
            done.jump(10 * DAY_S)
        return done

    return begin


def before_each_step(deeds, what, one):
    for step in itertools.count(1):
        done = deeds()
        if not done.clean_up_while("flights", step, what, one):
            break
        done.jump(10 * DAY_S)
        done.clean_up(["flights"])
    assert step > 10


def test_a_version_is_named_whose_base_goes(deeds):
    before_each_step(deeds, "serve", 1)


def test_a_run_begins(deeds):
    before_each_step(deeds, "begin", 0)


@pytest.mark.nightly
@pytest.mark.parametrize("what", MEANWHILE)
@pytest.mark.parametrize("one", [0, 1])
def test_whatever_happens(deeds, what, one):
    before_each_step(deeds, what, one)


def names_without_looking_for_marks(patch):
    patch.setattr(Marks, "is_free", lambda self, number: True)


def deletes_without_looking_for_names(patch):
    patch.setattr(cleanup, "remove_version", lambda one, path: one.store.remove(int(path.rpartition("/")[2]), list))


def runs_do_not_wait(patch):
    patch.setattr("tests.keeping.deeds.wait_for_sweep", lambda storage: None)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("mistake", "what", "one"),
    [
        (names_without_looking_for_marks, "pin", 0),
        (names_without_looking_for_marks, "serve", 1),
        (deletes_without_looking_for_names, "pin", 0),
        (runs_do_not_wait, "begin", 0),
    ],
)
def test_a_mistake_is_found(deeds, monkeypatch, mistake, what, one):
    mistake(monkeypatch)
    with pytest.raises((AssertionError, UserError)):
        before_each_step(deeds, what, one)
