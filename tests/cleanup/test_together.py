"""Cleaning up while others deploy, roll back and pin: what is named is always there."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from components.artifacts import write_json
from components.cleanup.cleanup import clean_up
from components.cleanup.config import Retention
from components.errors import UserError
from components.store import ModelStore, verify

CHANGES = 40
HELD = "about to be pointed to"


def _fill(folder: Path, number: int) -> None:
    made = {"version": number, "run": "run", "snapshot": "s", "base": None, "parent": None}
    write_json(folder / "lineage.json", made)
    (folder / "weights.h5").write_bytes(b"weights")


def _change(work: Path | str, seed: int, changes: int) -> None:
    """Adds versions, and points to any that it sees; that one of them is being deleted is told in a sentence."""
    chance, store = random.Random(seed), ModelStore(work, "flights")
    for _ in range(changes):
        store.add(_fill)
        version = chance.choice(store.versions())
        try:
            if chance.random() < 0.5:
                store.point(chance.choice(["serving", "candidate"]), version)
            else:
                store.pin(version.number, "chance")
                store.unpin(chance.choice(store.versions()).number)
        except UserError as error:
            assert any(word in str(error) for word in ("deleted", "missing", "is not in")), error


def _named_are_there(work: Path | str) -> None:
    store = ModelStore(work, "flights")
    for number in store.named():
        verify(store.version(number))


def _pointed_to_are_there(work: Path | str) -> None:
    """While others move pointers; a hold may name what is gone, and what was let go meanwhile may go."""
    store = ModelStore(work, "flights")
    for number in store.named():
        if store.find(number) is None:
            assert store.named().get(number, HELD) == HELD


def _clean_up_beside(work: Path | str, changes: int) -> int:
    context = multiprocessing.get_context("forkserver")
    changing = [context.Process(target=_change, args=(work, seed, changes)) for seed in (1, 2)]
    for process in changing:
        process.start()
    freed = 0
    while any(process.is_alive() for process in changing):
        outcome = clean_up(work, {"flights": Retention(versions=1)}, time.time())["flights"]
        freed += len(outcome.freed)
        _pointed_to_are_there(work)
    assert [process.exitcode for process in changing] == [0, 0]
    return freed


def test_in_a_folder(tmp_path):
    assert _clean_up_beside(tmp_path, CHANGES) > 0
    _named_are_there(tmp_path)


@pytest.mark.nightly
def test_in_a_bucket(s3_root):
    assert _clean_up_beside(s3_root, CHANGES // 4) > 0
    _named_are_there(s3_root)
