"""One version of a model, and the digests by which it is known to be whole."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import xxhash

from components import artifacts
from components.digests.ahead import ahead
from components.digests.content import file_digest
from components.errors import UserError
from components.storage.open import open_storage
from components.storage.storage import Storage

CHECKSUMS = "checksums.json"
CLAIM = "claim.json"
"""On an object store: who took the number."""


@dataclass(frozen=True)
class Version:
    """One version of a model in the store, or a copy of one."""

    number: int
    location: Path | str
    """Its folder, or its `s3://` URL."""

    @property
    def path(self) -> Path:
        """Its folder on this machine.

        Raises:
            UserError: it lies in a bucket.
        """
        if isinstance(self.location, Path):
            return self.location
        raise UserError(f"{self.location} is not on this machine; download the version first")

    def read(self, name: str) -> bytes:
        """The bytes of one of its files."""
        return open_storage(self.location).read(name)

    @property
    def lineage(self) -> dict[str, Any]:
        """Where the version comes from: parent, snapshot, partitions, trained_until, digests, run.

        Raises:
            UserError: the file is missing or damaged.
        """
        storage = open_storage(self.location)
        return _read_object(storage, artifacts.LINEAGE, storage.address(artifacts.LINEAGE))

    def origins(self) -> set[int]:
        """Its base and its parent, which stay with a version that is named; none where its lineage cannot be read."""
        try:
            lineage = self.lineage
        except UserError:
            return set()
        return {number for name in ("base", "parent") if isinstance(number := lineage.get(name), int)}


def number_of(name: str) -> int | None:
    """The number of the version whose folder has that name; None where it is no version's, as `01` is not."""
    return int(name) if name.isdecimal() and str(int(name)) == name else None


def checksums(folder: Path) -> dict[str, str]:
    """XXH3-128 of every file below a folder, by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    names = (path.relative_to(folder).as_posix() for path in files)
    return dict(zip(names, ahead(file_digest, files)))


def verify(version: Version, origin: Version | None = None) -> None:
    """Compares a version's files with its checksums.

    Args:
        version: the version.
        origin: what it was copied from, which errors name then.

    Raises:
        UserError: names the first file that is missing, changed or not listed, or the checksums when they are damaged.
    """
    storage = open_storage(version.location)
    told = storage if origin is None else open_storage(origin.location)
    expected = _read_checksums(storage, told.address(CHECKSUMS))
    for name, digest in zip(expected, ahead(lambda name: _digest(storage, name), expected)):
        if digest != expected[name]:
            state = "missing" if digest is None else "changed"
            sentence = f"{told.address(name)} is {state} since version {version.number} was made"
            raise UserError(f"{sentence}; deploy another version")
    for name in sorted(entry.key for entry in storage.entries()):
        if name not in (CHECKSUMS, *expected) and not _is_beside(name):
            sentence = f"{told.address(name)} is not listed in {told.address(CHECKSUMS)}"
            raise UserError(f"{sentence}: one of the two is damaged; deploy another version")


def _is_beside(name: str) -> bool:
    """Whether a file is no part of a version: its claim, or what a file system leaves (`.nfs…`, `.DS_Store`)."""
    claim = CLAIM.removesuffix(".json")  # a folder of numbered files where a bucket knows no conditional writes
    return name == CLAIM or name.startswith(f"{claim}/") or name.rpartition("/")[2].startswith(".")


def _read_checksums(storage: Storage, address: str) -> dict[str, str]:
    expected = _read_object(storage, CHECKSUMS, address)
    for name in expected:
        if not name or name.startswith("/") or ".." in PurePosixPath(name).parts or "\0" in name:
            raise UserError(f"{address} is damaged ({name!r} is no file's name); deploy another version")
    return expected


def _read_object(storage: Storage, name: str, address: str) -> dict[str, Any]:
    try:
        value = json.loads(storage.read(name))
    except FileNotFoundError:
        raise UserError(f"{address} is missing; deploy another version") from None
    except ValueError as error:
        raise UserError(f"{address} is damaged ({error}); deploy another version") from None
    if not isinstance(value, dict):
        raise UserError(f"{address} is damaged (it is no object); deploy another version")
    return value


def _digest(storage: Storage, name: str) -> str | None:
    """XXH3-128 of a file; None where there is none."""
    digest = xxhash.xxh3_128()
    try:
        for piece in storage.stream(name):
            digest.update(piece)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    return digest.hexdigest()
