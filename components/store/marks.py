"""The marks on versions that are being deleted: `pointers/doomed/<n>.json`, each owned by one process.

A mark whose process died, or stood still for an hour, or that cannot be read, is taken over by the next who meets it.
"""

import json
import time
import uuid
from typing import Any

from components.storage.process import is_living, this_process
from components.storage.storage import Storage
from components.store.version import number_of

MARK_S = 60 * 60


class Marks:
    """The marks of one model."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix
        self._own: dict[int, str] = {}
        """The ids of the marks that were taken, by version."""

    def numbers(self) -> list[int]:
        """The versions that are marked, lowest first."""
        keys = (entry.key.removeprefix(f"{self._prefix}/") for entry in self._storage.entries(self._prefix))
        numbers = {number_of(key.partition("/")[0].removesuffix(".json")) for key in keys}
        return sorted(number for number in numbers if number is not None)

    def take(self, number: int) -> bool:
        """Marks a version; False: another process has marked it, and is alive."""
        key = self._key(number)
        cell = self._storage.cell(key)
        if cell is not None and _is_alive(_owner(cell.content)):
            return False
        own = uuid.uuid4().hex
        content = json.dumps({**this_process(), "time_s": time.time(), "id": own}).encode()
        if not self._storage.swap(key, content, cell and cell.tag):
            return False
        self._own[number] = own
        return True

    def is_held(self, number: int) -> bool:
        """Whether the mark that was taken is still there, and nobody took it over."""
        cell = self._storage.cell(self._key(number))
        return cell is not None and number in self._own and _owner(cell.content).get("id") == self._own[number]

    def release(self, number: int) -> None:
        """Takes away the mark that was taken, unless another process took it over."""
        if self.is_held(number):
            self._storage.forget(self._key(number))

    def is_free(self, number: int) -> bool:
        """Whether nobody is deleting a version; takes away what a process left that died before it deleted."""
        if self._storage.cell(self._key(number)) is None:
            return True
        if not self.take(number):
            return False
        self.release(number)
        return True

    def _key(self, number: int) -> str:
        return f"{self._prefix}/{number}.json"


def _owner(content: bytes) -> dict[str, Any]:
    """Who holds a mark; empty where it cannot be read."""
    try:
        owner = json.loads(content)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_alive(owner: dict[str, Any]) -> bool:
    living = is_living(owner)
    if living is not None:
        return living
    time_s = owner.get("time_s")
    return isinstance(time_s, int | float) and abs(time.time() - time_s) < MARK_S
