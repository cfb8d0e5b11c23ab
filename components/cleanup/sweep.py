"""One cleanup at a time in a work directory, and no run that begins while it is at work.

`cleanup/sweep.json` says who is at work, with a heartbeat. Cleanup writes it and then looks for the leases of runs; a
run writes its lease and then waits while a cleanup is at work (`wait_for_sweep`): one of the two sees the other. A
cleanup that was killed holds nobody up for longer than it takes to see that it is dead: at once on the same machine,
and `runs.LEASE_S` on another.
"""

import contextlib
import errno
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from components.cleanup.runs import is_alive
from components.cleanup.survey import CLEANUP
from components.errors import UserError
from components.storage.process import this_process
from components.storage.storage import Cell, Storage

MARK = f"{CLEANUP}/sweep.json"
BALLAST, BALLAST_BYTES = f"{CLEANUP}/ballast", 1 << 18
"""A file that is given up when the disk is full, so that the cleanup that mends that can begin."""
FULL = (errno.ENOSPC, errno.EDQUOT)
HEARTBEAT_S = 30.0
LOOK_EVERY_S = 0.2
CLOCKS_S = 5 * 60
"""A cleanup whose clock is further from that of the storage would take young files for old ones."""


class Sweep:
    """The right to delete, while its holder is at work."""

    def __init__(self, storage: Storage, key: str = MARK) -> None:
        self._storage, self._key = storage, key
        self._owner = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def begin(self) -> None:
        """Takes the mark, and keeps it alive.

        Raises:
            UserError: another cleanup is at work; or the clock is wrong.
        """
        if not self._take():
            raise UserError(f"another cleanup is at work in {self._storage.url}; wait for it")
        self._thread.start()
        try:
            self._check_clock()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Gives the mark back."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):  # the next cleanup tries again
            if not self._storage.exists(BALLAST):
                self._storage.write(BALLAST, os.urandom(BALLAST_BYTES))
        if held := self._held():
            self._storage.swap(self._key, b"{}\n", held.tag)

    def check(self) -> None:
        """Makes sure that the mark is still held, before something is deleted.

        Raises:
            UserError: another cleanup took it, because this process stood still for too long.
        """
        if self._held() is None:
            raise UserError(f"another cleanup took over in {self._storage.url}; this one stopped")

    def _take(self) -> bool:
        try:
            return self._try_to_take()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._storage.delete([BALLAST])
            return self._try_to_take()

    def _try_to_take(self) -> bool:
        before = self._storage.cell(self._key)
        return not _at_work(before) and self._storage.swap(self._key, self._content(), before and before.tag)

    def _check_clock(self) -> None:
        """Compares the clocks by the mark that was just written: what may go, and who is at work, is told by times."""
        stem = self._key.removesuffix(".json")
        written = [entry.modified_s for entry in self._storage.entries(CLEANUP) if entry.key.startswith(stem)]
        apart_s = time.time() - max(written, default=time.time())
        if abs(apart_s) > CLOCKS_S:
            raise UserError(
                f"the clock of this machine and that of {self._storage.url} are {abs(apart_s):.0f} s apart; set it"
            )

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # tried again at the next beat
                if held := self._held():
                    self._storage.swap(self._key, self._content(), held.tag)

    def _held(self) -> Cell | None:
        cell = self._storage.cell(self._key)
        return cell if cell and _read(cell).get("owner") == self._owner else None

    def _content(self) -> bytes:
        mark = {**this_process(), "owner": self._owner, "heartbeat_s": time.time()}
        return json.dumps(mark).encode() + b"\n"


@contextlib.contextmanager
def sweeping(storage: Storage, key: str = MARK) -> Iterator[Sweep]:
    """Holds the right to delete while the block runs.

    Args:
        storage: the work directory.
        key: the mark; runs wait only for whoever holds `MARK`.

    Raises:
        UserError: another cleanup is at work.
    """
    sweep = Sweep(storage, key)
    sweep.begin()
    try:
        yield sweep
    finally:
        sweep.end()


def wait_for_sweep(storage: Storage) -> None:
    """Returns when no cleanup is at work, and says so if it must wait; to be called by a run that wrote its lease."""
    if _at_work(storage.cell(MARK)):
        print(f"waiting until the cleanup that is at work in {storage.url} has ended", file=sys.stderr)
    while _at_work(storage.cell(MARK)):
        time.sleep(LOOK_EVERY_S)


def _at_work(cell: Cell | None) -> bool:
    """Whether somebody holds the mark; what cannot be read holds nobody up."""
    mark = _read(cell) if cell else {}
    return "owner" in mark and is_alive(mark, 0.0, time.time())


def _read(cell: Cell) -> dict[str, Any]:
    try:
        value = json.loads(cell.content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
