"""The versions of a model in a folder: written beside, then renamed."""

import errno
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from components import artifacts
from components.storage.atomic import sync
from components.store.version import CHECKSUMS, checksums, number_of


class FolderVersions:
    """`versions/<n>/`; a version appears whole, by renaming a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """The numbers that are taken, lowest first."""
        if not self._folder.is_dir():
            return []
        numbers = (number_of(path.name) for path in self._folder.iterdir() if path.is_dir())
        return sorted(number for number in numbers if number is not None)

    def complete(self) -> list[int]:
        """The numbers of those that are there, lowest first; what a killed cleanup began with may lack checksums."""
        return [number for number in self.numbers() if self.is_complete(number)]

    def is_complete(self, number: int) -> bool:
        """Whether a version is there."""
        return (self._folder / str(number) / CHECKSUMS).is_file()

    def add(self, fill: Callable[[Path, int], None]) -> int:
        """Adds a version; see `ModelStore.add`."""
        while True:
            number = max(self.numbers(), default=0) + 1
            beside = self._folder / f".{number}.{uuid.uuid4().hex}.tmp"
            beside.mkdir(parents=True)
            try:
                fill(beside, number)
                artifacts.write_json(beside / CHECKSUMS, checksums(beside))
                _sync_all(beside)
                if _rename_to_new(beside, self._folder / str(number)):
                    return number
            finally:
                shutil.rmtree(beside, ignore_errors=True)


def _rename_to_new(beside: Path, target: Path) -> bool:
    """Renames a folder unless another writer was first; rename(2) refuses a target folder that is not empty."""
    try:
        beside.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync(target.parent)
    return True


def _sync_all(folder: Path) -> None:
    """Makes files and folders durable, the innermost first, before anything points to them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)
