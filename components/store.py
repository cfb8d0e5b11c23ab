"""The model store: numbered, immutable versions of each model, and pointers to them.

    <work>/models/<name>/versions/<n>/        complete, never changed once it is there
    <work>/models/<name>/pointers/<pointer>.json   {"version": n}, replaced atomically

A version appears whole, by renaming a folder that was written beside it. A pointer names a version only after that
version is there, so that a reader who follows a pointer always finds a complete version. Rollback is moving a pointer.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xxhash

from components import artifacts
from components.errors import UserError

Pointer = Literal["serving", "previous", "candidate"]
CHECKSUMS = "checksums.json"
WITHDRAWN = "withdrawn.json"


@dataclass(frozen=True)
class Version:
    """One version of a model in the store."""

    number: int
    path: Path

    @property
    def lineage(self) -> dict[str, Any]:
        """Where the version comes from: parent, snapshot, partitions, trained_until, digests, run."""
        lineage: dict[str, Any] = artifacts.read_json(self.path / artifacts.LINEAGE)
        return lineage


class ModelStore:
    """The versions and pointers of one model below a work directory."""

    def __init__(self, work: Path, name: str) -> None:
        self.root = work / "models" / name

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        folder = self.root / "versions"
        if not folder.is_dir():
            return []
        folders = (path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())
        return sorted((Version(int(path.name), path) for path in folders), key=lambda version: version.number)

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            UserError: there is no such version.
        """
        path = self.root / "versions" / str(number)
        if not path.is_dir():
            known = ", ".join(str(version.number) for version in self.versions()) or "none"
            raise UserError(f"version {number} is not in {self.root}; the versions there are: {known}")
        return Version(number, path)

    def pointed(self, pointer: Pointer) -> Version | None:
        """The version that a pointer names; None where the pointer was never set.

        Raises:
            UserError: the pointer's file cannot be read, or names a version that is not there.
        """
        path = self._pointer_path(pointer)
        if not path.exists():
            return None
        try:
            number = int(artifacts.read_json(path)["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path} is damaged ({error}); write {{"version": <number>}} into it') from None
        return self.version(number)

    def add(self, fill: Callable[[Path, int], None]) -> Version:
        """Adds a version under the next free number.

        Args:
            fill: writes the version's files into the folder it is given; it is also given the number, and called again
                with the next number when another writer takes that one first.
        """
        while True:
            number = max((version.number for version in self.versions()), default=0) + 1
            beside = self.root / "versions" / f".{number}.{uuid.uuid4().hex}.tmp"
            beside.mkdir(parents=True)
            try:
                fill(beside, number)
                artifacts.write_json(beside / CHECKSUMS, checksums(beside))
                _sync_all(beside)
                if _rename_to_new(beside, self.root / "versions" / str(number)):
                    return self.version(number)
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def point(self, pointer: Pointer, version: Version) -> Version | None:
        """Moves a pointer to a version, whatever it names now.

        Moving `serving` leaves the version that it named in `previous`. Moving it back withdraws that version: it is
        not put into service again unless somebody points to it.

        Returns:
            the version that the pointer named before; None where it named none, or one that is gone.

        Raises:
            UserError: the version is damaged.
        """
        verify(version)
        with self._lock():
            return self._move(pointer, version)

    def replace(self, expected: int | None, version: Version) -> Version | None:
        """Moves `serving` to a version if it still names the version that the new one was compared with.

        Args:
            expected: the number of that version; None where there was none.
            version: the version to put into service.

        Returns:
            the version that was in service before.

        Raises:
            UserError: another version went into service meanwhile, or this one is damaged or was withdrawn.
        """
        verify(version)
        with self._lock():
            serving = self.pointed("serving")
            number = serving and serving.number
            if number not in (expected, version.number):
                raise UserError(
                    f"version {number} went into service while this run compared its model with "
                    f"{'none' if expected is None else f'version {expected}'}; run again"
                )
            if version.number in self.withdrawn():
                raise UserError(
                    f"version {version.number} was withdrawn from service, and this run made the same model again; "
                    "change the data or the configuration, or point to that version by hand"
                )
            return self._move("serving", version)

    def withdrawn(self) -> tuple[int, ...]:
        """The numbers of the versions that were taken out of service by moving the pointer back."""
        path = self.root / "pointers" / WITHDRAWN
        return tuple(artifacts.read_json(path)["versions"]) if path.exists() else ()

    def _move(self, pointer: Pointer, version: Version) -> Version | None:
        before = self._pointed_or_none(pointer)
        if pointer == "serving" and before is not None and before.number != version.number:
            artifacts.write_json(self._pointer_path("previous"), {"version": before.number})
        if pointer == "serving":
            self._write_withdrawn(before, version)
        artifacts.write_json(self._pointer_path(pointer), {"version": version.number})
        return before

    def _write_withdrawn(self, before: Version | None, version: Version) -> None:
        known = set(self.withdrawn())
        now = known - {version.number}
        if before is not None and before.number > version.number:
            now.add(before.number)
        if now != known:
            artifacts.write_json(self.root / "pointers" / WITHDRAWN, {"versions": sorted(now)})

    def _pointed_or_none(self, pointer: Pointer) -> Version | None:
        """What a pointer names, so that a pointer to nothing can be mended by moving it."""
        try:
            return self.pointed(pointer)
        except UserError:
            return None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time; the lock goes with the process that holds it."""
        folder = self.root / "pointers"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _pointer_path(self, pointer: Pointer) -> Path:
        return self.root / "pointers" / f"{pointer}.json"


def checksums(folder: Path) -> dict[str, str]:
    """XXH3-128 of every file below a folder, by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def file_digest(path: Path) -> str:
    """XXH3-128 of a file's bytes, in hexadecimal; reads it in pieces of 1 MiB."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def verify(version: Version) -> None:
    """Compares a version's files with its checksums.

    Raises:
        UserError: names the first file that is missing or changed, or the checksums when they are damaged.
    """
    for name, expected in _read_checksums(version.path / CHECKSUMS).items():
        path = version.path / name
        if not path.is_file() or file_digest(path) != expected:
            state = "changed" if path.is_file() else "missing"
            raise UserError(f"{path} is {state} since version {version.number} was made; deploy another version")


def _read_checksums(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise UserError(f"{path} is missing; deploy another version")
    try:
        expected = artifacts.read_json(path)
        if isinstance(expected, dict):
            return expected
        reason = "it is no object"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{path} is damaged ({reason}); deploy another version")


def _rename_to_new(beside: Path, target: Path) -> bool:
    """Renames a folder unless another writer was first; rename(2) refuses a target folder that is not empty."""
    try:
        beside.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    _sync(target.parent)
    return True


def _sync_all(folder: Path) -> None:
    """Makes files and folders durable, the innermost first, before anything points to them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
