"""A clock, processes and file dates that the tests set, for the code of store and cleanup."""

import itertools
import os
import time
from collections.abc import Callable, Iterator

import pytest

from components.cleanup import sweep
from components.storage import process
from components.storage.bucket import BucketStorage
from components.storage.folder import FolderStorage
from components.storage.storage import Entry, Storage
from components.store import marks

BEGIN_S = 10_000 * 86_400.0 + 43_200
"""Noon of a day in 1997: pretended times are always before real ones."""
REAL_S = 15_000 * 86_400.0
"""Files that are dated later were written since somebody looked last."""


class WaitingError(Exception):
    """Somebody would wait now."""


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now_s = BEGIN_S

    def time(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        raise WaitingError


class Processes:
    """Stands for the module `os`: whatever is done in turn is done by a process of its own."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.current = 0
        self.living: set[int] = set()
        """All others have ended or were killed."""

    def start(self) -> int:
        self.current = next(self._numbers)
        self.living.add(self.current)
        return self.current

    def getpid(self) -> int:
        return self.current

    def kill(self, process: int, signal: int) -> None:
        if process not in self.living:
            raise ProcessLookupError


class Dates:
    """When files were written, by the pretended clock."""

    def __init__(self, clock: Clock, entries: Callable[[BucketStorage, str], Iterator[Entry]]) -> None:
        self._clock = clock
        self._entries = entries
        self._remote: dict[tuple[str, float], float] = {}

    def look(self, storage: Storage) -> dict[str, float]:
        """All files with their dates; those written since the last look are dated to the present."""
        if isinstance(storage, BucketStorage):
            return self._look_remote(storage)
        assert isinstance(storage, FolderStorage)
        found = {}
        for entry in storage.entries():
            found[entry.key] = min(entry.modified_s, self._clock.now_s if _is_new(entry) else entry.modified_s)
            if _is_new(entry):
                os.utime(storage.path(entry.key), (self._clock.now_s, self._clock.now_s))
        return found

    def _look_remote(self, storage: BucketStorage) -> dict[str, float]:
        listed = list(self._entries(storage, ""))
        marks = {entry.key: (storage.address(entry.key), entry.modified_s) for entry in listed}
        self._remote = {mark: self._remote.get(mark, self._clock.now_s) for mark in marks.values()}
        return {key: self._remote[mark] for key, mark in marks.items()}

    def remote(self, storage: BucketStorage, prefix: str = "") -> Iterator[Entry]:
        """In place of `BucketStorage.entries`: a server dates files itself."""
        for entry in self._entries(storage, prefix):
            mark = (storage.address(entry.key), entry.modified_s)
            yield entry._replace(modified_s=self._remote.get(mark, entry.modified_s))


def _is_new(entry: Entry) -> bool:
    return entry.modified_s > REAL_S


class Pretence:
    """All of it together."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock, self.processes = Clock(), Processes()
        self.dates = Dates(self.clock, BucketStorage.entries)
        remote = self.dates.remote
        patch.setattr(BucketStorage, "entries", lambda storage, prefix="": remote(storage, prefix))
        for module in (marks, sweep):
            patch.setattr(module, "time", self.clock)
        patch.setattr(process, "os", self.processes)
        patch.setattr(process, "_started", lambda pid: None)
        patch.setattr(sweep.Sweep, "_check_clock", lambda one: None)
        patch.setattr(os, "fsync", lambda descriptor: None)  # no power fails here
        assert time.time() > REAL_S
