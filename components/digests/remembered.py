"""Digests remembered from run to run, so that files that were not written since need not be read again.

An optimisation and nothing else: what is remembered is used only where it is certain to be what reading would give, and
without the file, or with a damaged one, everything is read. A local file is known by path, size, times and inode
(state.py), an object in a bucket by the checksum that the store keeps of it (stored.py).
"""

import contextlib
import json
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash

from components.digests.content import Content, file_content, read_content
from components.digests.state import State
from components.digests.stored import Stored, stored

FORMAT = 1
BLOCK_BYTES = 4 << 20
"""What is asked of an object store at once; s3fs asks for 50 MiB otherwise, and each thread holds several of them."""
log = logging.getLogger(__name__)


class Remembered:
    """Digests of the files that one model reads. Threads may use it at the same time.

    Args:
        known: digests by the keys of `State` and `Stored`.
        is_on: whether anything is remembered; otherwise every question reads the bytes.
    """

    def __init__(self, known: dict[str, str] | None = None, is_on: bool = True) -> None:
        self._known, self._is_on = dict(known or {}), is_on
        self.used: dict[str, str] = {}
        """What was asked for or learned: what is worth remembering on."""

    @classmethod
    @contextlib.contextmanager
    def kept_in(cls, path: Path | None) -> Iterator["Remembered"]:
        """Reads `path` and, when the block ends, writes there what was used; with None remembers nothing.

        A file that is damaged or of another format is left out, one that cannot be written is only warned of.
        """
        if path is None:
            yield cls(is_on=False)
            return
        known = _read(path)
        remembered = cls(known)
        try:
            yield remembered
        except BaseException:  # not all files had their turn: what is known of the others is kept
            remembered.used = {**known, **remembered.used}
            raise
        finally:
            used = dict(remembered.used)
            if used != known:
                _write(path, used)

    def of_file(self, path: Path) -> Content:
        """The digest of a file of this machine.

        Raises:
            OSError: the file cannot be read.
        """
        state = State.of(path)
        key = state.key(path)
        if key in self._known:
            return self._again(key, state.bytes)
        begun_ns = time.time_ns()
        content = file_content(path)
        if state.is_settled(begun_ns) and State.of(path) == state:
            self._learn(key, content.digest)
        return content

    def of_object(self, filesystem: Any, path: str) -> Content:
        """The digest of an object in a bucket.

        Args:
            filesystem: fsspec's.
            path: the object's path there.

        Raises:
            OSError: the object cannot be read.
        """
        unknown: list[Stored] = []
        for checksum in stored(filesystem, path) if self._is_on else ():
            if checksum.key(path) in self._known:
                return self._again(checksum.key(path), checksum.bytes)
            unknown.append(checksum)
        hashes = {checksum: found for checksum in unknown if (found := checksum.hash()) is not None}
        with filesystem.open(path, "rb", block_size=BLOCK_BYTES) as file:
            content = read_content(file, hashes.values())
        proven = [checksum for checksum, found in hashes.items() if found.hexdigest() == checksum.hex]
        proven = proven or _unchanged(filesystem, path, [checksum for checksum in unknown if checksum not in hashes])
        for checksum in proven[:1]:
            self._learn(checksum.key(path), content.digest)
        return content

    def _again(self, key: str, size: int) -> Content:
        self.used[key] = self._known[key]
        return Content(self._known[key], size, is_read=False)

    def _learn(self, key: str, digest: str) -> None:
        if self._is_on:
            self._known[key] = self.used[key] = digest


def _unchanged(filesystem: Any, path: str, before: list[Stored]) -> list[Stored]:
    """What cannot be computed here must at least be the same before and after the bytes were read."""
    after = list(stored(filesystem, path)) if before else []
    return [checksum for checksum in before if checksum in after]


def _read(path: Path) -> dict[str, str]:
    try:
        raw = json.loads(path.read_bytes())
        known = {str(key): str(digest) for key, digest in raw["digests"].items()}
        is_whole = raw["format"] == FORMAT and raw["checksum"] == _checksum(known)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        log.warning("%s is damaged or of another format: all files are read again", path)
        return {}
    return known


def _write(path: Path, digests: dict[str, str]) -> None:
    """Replaces the file whole; it need not be durable, because a damaged one is left out."""
    content = {"format": FORMAT, "checksum": _checksum(digests), "digests": digests}
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=True), encoding="ascii")
        beside.replace(path)
    except OSError as error:
        log.warning("%s cannot be written (%s): the next run reads all files again", path, error)
        with contextlib.suppress(OSError):
            beside.unlink()


def _checksum(digests: dict[str, str]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(digests, sort_keys=True).encode())
