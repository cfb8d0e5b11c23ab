"""Finds the files to predict, and names what they hold."""

import contextlib
import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import xxhash

from components.errors import UserError

CHUNK_BYTES = 1 << 20
HIDDEN = (".", "_")
REMOTE = "://"


@dataclass(frozen=True)
class Input:
    """One file of rows."""

    path: str
    """An absolute path, or a URL."""
    bytes: int
    digest: str
    """XXH3-128 of the content of a file of this machine; what the store tells a version of a remote one by."""
    modified_ns: int | None = None
    """When a file of this machine was last written, as it was before its content was read; None for a remote one."""

    @classmethod
    def of(cls, path: str) -> "Input":
        """Reads a local file to its end; asks for a remote one's state.

        Raises:
            UserError: the file is empty or cannot be read.
        """
        with refused(path):
            found = cls(path, *_remote_state(path)) if REMOTE in path else _read_local(path)
        if not found.bytes:
            raise UserError(f"{path} is empty (0 bytes); deliver it again or take it out of the source")
        return found

    def is_changed(self) -> bool:
        """Whether the file was written since; told in no time by its size and time, or by what the store tells of it.

        Raises:
            UserError: the file system cannot be asked.
        """
        with refused(self.path):
            if self.modified_ns is None:
                return _remote_state(self.path) != (self.bytes, self.digest)
            if not Path(self.path).exists():
                return True
            state = Path(self.path).stat()
            return (state.st_size, state.st_mtime_ns) != (self.bytes, self.modified_ns)


def find(source: str) -> list[str]:
    """The paths or URLs that a source names, in order.

    Args:
        source: a path or URL with wildcards, as in `predict.source`.

    Raises:
        UserError: no file matches, a folder is named, or the file system cannot be reached.
    """
    with refused(source):
        found = _find_remote(source) if REMOTE in source else _find_local(source)
    if not found:
        raise UserError(f"no file matches {source}; check the path and that the rows to predict have arrived")
    for path in found:
        if not path.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in path):
            raise UserError(f"the name {path!r} cannot be written down; rename the file")
    return sorted(set(found))  # a pattern with several ** finds a file several times


def open_input(path: str) -> BinaryIO:
    """Opens a file of this machine, or behind a URL, for reading bytes."""
    if REMOTE not in path:
        return Path(path).open("rb")
    import fsspec

    filesystem, name = fsspec.core.url_to_fs(path)
    file: BinaryIO = filesystem.open(name, "rb")
    return file


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Turns errors of a file system into one sentence."""
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        raise UserError(f"{what} cannot be read ({error}); check that it is there and that you may read it") from None


def _find_local(pattern: str) -> list[str]:
    if Path(pattern).is_dir():
        raise UserError(f"{pattern} is a folder; name its files, such as {pattern.rstrip('/')}/*.parquet")
    if Path(pattern).is_file():
        return [str(Path(pattern).absolute())]
    paths = glob.glob(pattern, recursive=True)  # noqa: PTH207 - the pattern may be absolute, with a wildcard anywhere
    files = [path for path in paths if Path(path).is_file() and not _is_hidden(path, pattern)]
    return [str(Path(path).absolute()) for path in files]


def _find_remote(url: str) -> list[str]:
    import fsspec  # costs 0.1 s that local files need not pay

    filesystem, pattern = fsspec.core.url_to_fs(url)
    paths = [str(path) for path in filesystem.glob(pattern) if filesystem.isfile(path)]
    return [filesystem.unstrip_protocol(path) for path in paths if not _is_hidden(path, pattern)]


def _is_hidden(path: str, pattern: str) -> bool:
    """Whether a part of the path that a wildcard may have matched is hidden."""
    parts = PurePosixPath(pattern).parts
    fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return any(part.startswith(HIDDEN) for part in PurePosixPath(path).parts[fixed:])


def _read_local(path: str) -> Input:
    digest, size = xxhash.xxh3_128(), 0
    modified_ns = Path(path).stat().st_mtime_ns
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Input(path, size, digest.hexdigest(), modified_ns)


def _remote_state(url: str) -> tuple[int, str]:
    """Size, and what tells a version; the store is asked in any case, because a listing tells otherwise of a file."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.invalidate_cache()
    return int(filesystem.size(path)), str(filesystem.ukey(path))
