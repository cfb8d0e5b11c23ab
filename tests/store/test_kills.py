"""A store whose processes are killed at every write, rename and delete reads correctly, and the next call heals it."""

import errno
import itertools
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from components.store import ModelStore, verify
from tests.store.faults import OPERATIONS, fill, newest, run

KILLED = -9


def _state(store: ModelStore) -> dict[str, Any]:
    """All that the store says, after a look at every version."""
    for version in store.versions():
        verify(version)
    named = store.named()
    for pointer in ("serving", "previous", "candidate"):
        version = store.pointed(pointer)
        assert version is None or version.number in named
    return {
        "versions": [version.number for version in store.versions()],
        "service": (store.number("serving"), store.number("previous"), store.withdrawn()),
        "candidate": store.number("candidate"),
        "pins": store.pins(),
    }


@pytest.mark.parametrize("operation", ["add", "point", "candidate", "replace", "rollback", "pin", "unpin", "spare"])
def test_killed_at_any_change(store: ModelStore, work: Path | str, operation: str) -> None:
    for _ in range(2):
        store.point("serving", store.add(fill))
    for nth in itertools.count(1):
        if operation == "replace":
            store.add(fill)
        elif operation == "rollback":
            store.point("serving", store.version(1))
            store.point("serving", store.version(2))
        elif operation == "unpin":
            store.pin(1, "audit")
        before = _state(store)
        code = run(work, operation, nth)
        now = _state(store)
        if code == 0:
            break
        assert code == KILLED
        if now == before:
            OPERATIONS[operation](store)
        after = _state(store)
        assert after != before or operation == "spare"
        assert now in (before, after), "half of a change is visible"
    assert nth > 1, "nothing was killed"
    assert now != before or operation == "spare"


def test_a_deletion_killed_at_any_change_is_taken_up_again(store: ModelStore, work: Path | str) -> None:
    store.point("serving", store.add(fill))
    for nth in itertools.count(1):
        version = store.add(fill)
        before = _state(store)
        code = run(work, "remove", nth)
        now = _state(store)
        assert now in (before, {**before, "versions": before["versions"][:-1]})
        if code == 0:
            break
        assert code == KILLED
        if nth % 2:  # somebody wants it after all
            try:
                store.pin(version.number, "audit")
            except UserError:
                assert version.number not in _state(store)["versions"]
        wanted = version.number in store.named()
        assert store.remove(version.number, store.named) is not wanted
        assert (store.find(version.number) is not None) is wanted
        assert store.doomed() == []
        store.unpin(version.number)
        store.remove(version.number, store.named)
        assert _state(store)["versions"] == [1]
    assert nth > 3, "nothing was killed"


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    for _ in range(2):
        store.point("serving", store.add(fill))
    sync = os.fsync
    for operation in ("add", "point", "candidate", "pin"):
        for nth in itertools.count(1):
            before = _state(store)
            calls = itertools.count(1)

            def full(descriptor: int, calls: Any = calls, nth: int = nth) -> None:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and next(calls) >= nth:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                sync(descriptor)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "fsync", full)
                try:
                    OPERATIONS[operation](store)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                else:
                    break
            assert _state(store) == before
        assert nth > 1
    left = [path.name for path in tmp_path.rglob("*.tmp")]
    assert left == []
    assert newest(store).number == 3
