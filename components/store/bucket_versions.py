"""The versions of a model in a bucket, where nothing can be renamed: claimed, uploaded, there once they have checksums.

`claim.json` says who took the number. What lies below a number is younger than a day while somebody is at it: each
file that is uploaded is a sign of life. What was claimed and never finished is cleanup's.
"""

import contextlib
import json
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.storage.process import this_process
from components.storage.storage import Storage
from components.store.marks import Marks
from components.store.version import CHECKSUMS, CLAIM, checksums, number_of


class BucketVersions:
    """`versions/<n>/` below a prefix of a storage."""

    def __init__(self, storage: Storage, prefix: str, marks: Marks) -> None:
        self._storage = storage
        self._prefix = prefix
        self._marks = marks

    def numbers(self) -> list[int]:
        """The numbers that are taken, lowest first: also of versions under way and of those that never came."""
        return sorted({number for number, _ in self._files()})

    def complete(self) -> list[int]:
        """The numbers of those that are there, lowest first."""
        return sorted(number for number, name in self._files() if name == CHECKSUMS)

    def _files(self) -> Iterator[tuple[int, str]]:
        for entry in self._storage.entries(self._prefix):
            number, _, name = entry.key.removeprefix(f"{self._prefix}/").partition("/")
            if (found := number_of(number)) is not None:
                yield found, name

    def is_complete(self, number: int) -> bool:
        """Whether a version is there."""
        return self._storage.exists(self._key(number, CHECKSUMS))

    def add(self, fill: Callable[[Path, int], None]) -> int:
        """Adds a version; see `ModelStore.add`. What a failed one has uploaded is deleted again."""
        number, claim = self._claim()
        try:
            with tempfile.TemporaryDirectory() as folder:
                self._upload(Path(folder), fill, number, claim)
        except BaseException:
            with contextlib.suppress(OSError):  # cleanup frees it later, and the first error is the one to tell
                if self._is_mine(number, claim):
                    self._storage.remove(f"{self._prefix}/{number}", first=[self._key(number, CHECKSUMS)])
            raise
        return number

    def _upload(self, folder: Path, fill: Callable[[Path, int], None], number: int, claim: str) -> None:
        fill(folder, number)
        digests = json.dumps(checksums(folder), indent=1).encode()
        self._storage.upload(folder, f"{self._prefix}/{number}")
        self._check_claim(number, claim)
        self._storage.write(self._key(number, CHECKSUMS), digests)
        try:
            self._check_claim(number, claim)  # a cleanup that looked before this may have deleted the rest
        except UserError:
            with contextlib.suppress(FileNotFoundError):
                if self._storage.read(self._key(number, CHECKSUMS)) == digests:
                    self._storage.delete([self._key(number, CHECKSUMS)])
            raise

    def _check_claim(self, number: int, claim: str) -> None:
        if not self._is_mine(number, claim):
            raise UserError(f"version {number} took longer than a day to upload and was cleaned up; deploy again")

    def _is_mine(self, number: int, claim: str) -> bool:
        cell = self._storage.cell(self._key(number, CLAIM))
        return cell is not None and f'"id": "{claim}"'.encode() in cell.content

    def _claim(self) -> tuple[int, str]:
        claim = uuid.uuid4().hex
        owner = {"host": socket.gethostname(), **this_process(), "run": artifacts.run_name()}
        content = json.dumps({"id": claim, "time_s": time.time(), **owner}, indent=1).encode()
        number = max(self.numbers(), default=0) + 1
        # A mark that a killed cleanup left would let the next one delete what is uploaded here.
        while not (self._marks.is_free(number) and self._storage.create(self._key(number, CLAIM), content)):
            number += 1
        return number, claim

    def _key(self, number: int, name: str) -> str:
        return f"{self._prefix}/{number}/{name}"
