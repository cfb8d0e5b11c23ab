"""Compare-and-swap on S3 servers without conditional writes, by numbered files that are only ever created.

The cell `a/b.json` is the folder `a/b/` of files `<20 digits>-<id>.json`: each swap adds a file with the next number.
The highest number counts; of several with the same number the one that the server stored first, then the lowest id. A
writer waits until no other file can carry the same second, before it looks whether its own is the one that counts. The
limit of this: the clocks of the server's nodes must agree within a second.
"""

import re
import time
import uuid
from typing import NamedTuple

from components.storage.storage import Cell, Storage

SETTLE_S = 2.0
"""S3 tells times in whole seconds, so a file that was stored later surely looks later only after that."""
KEPT = 10
"""Numbers that stay when a new one is there; a writer that slept longer finds its own below all others and gives up."""
NAME = re.compile(r"(\d{20})-[0-9a-f]{32}\.json")


class _File(NamedTuple):
    number: int
    place: tuple[float, str]
    """Time and key: the order of those with the same number."""


class NumberedCells:
    """The cells of one storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def cell(self, key: str) -> Cell | None:
        """What counts now; its tag is its name."""
        while (winner := _winner(self._files(key))) is not None:
            name = winner.place[1]
            try:
                return Cell(self._storage.read(name), name, name)
            except FileNotFoundError:  # many swaps happened meanwhile
                continue
        return None

    def swap(self, key: str, content: bytes, expected: str | None) -> bool:
        """See `Storage`; takes two seconds, four where the cell holds something."""
        winner = _winner(self._files(key))
        if winner is not None and winner.place[1] == expected:
            time.sleep(SETTLE_S)  # until what was written before it surely shows
            winner = _winner(self._files(key))
        if (winner and winner.place[1]) != expected:
            return False
        number = 1 if winner is None else winner.number + 1
        own = f"{_folder(key)}/{number:020}-{uuid.uuid4().hex}.json"
        self._storage.write(own, content)
        time.sleep(SETTLE_S)
        files = self._files(key)
        first = _winner([file for file in files if file.number == number])
        if first is None or first.place[1] != own or _is_left_behind(number, files):
            return False
        self._storage.delete(file.place[1] for file in files if file.number <= number - KEPT)
        return True

    def keys(self, key: str) -> list[str]:
        """The files of a cell."""
        return [file.place[1] for file in self._files(key)]

    def _files(self, key: str) -> list[_File]:
        files = []
        for entry in self._storage.entries(_folder(key)):
            if match := NAME.fullmatch(entry.key.rpartition("/")[2]):
                files.append(_File(int(match[1]), (entry.modified_s, entry.key)))
        return files


def _folder(key: str) -> str:
    return key.removesuffix(".json")


def _winner(files: list[_File]) -> _File | None:
    return min(files, key=lambda file: (-file.number, file.place), default=None)


def _is_left_behind(number: int, files: list[_File]) -> bool:
    """Whether the files with which this one competed may be gone already."""
    return number > 1 and all(file.number >= number for file in files)
