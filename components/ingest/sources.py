"""Finds the source's files, names what they hold by a digest of their bytes, and brings remote ones here.

The name is the digest of the bytes alone: not of the file's name, nor of its times, nor of where it lies. So the same
bytes renamed, re-dated or moved to a bucket are known already, and one changed byte is new.
"""

import contextlib
import glob
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.digests.content import Content
from components.digests.remembered import Remembered
from components.errors import UserError
from components.storage.address import Address, is_local

CHUNK_BYTES = 1 << 20
HIDDEN = (".", "_")


@dataclass(frozen=True)
class SourceFile:
    """One file of the source, on this machine or behind a URL."""

    path: str
    name: str
    """The path below the source's part without wildcards, to show."""
    filesystem: Any = None
    """The fsspec file system that holds `path`; None for a file of this machine."""

    def content(self, remembered: Remembered) -> Content:
        """The digest of the file's bytes, and their number.

        Args:
            remembered: digests of files that were not written since.

        Raises:
            UserError: the file is empty or cannot be read.
        """
        with _refused_by_name(self.path):
            if self.filesystem is None:
                content = remembered.of_file(Path(self.path))
            else:
                content = remembered.of_object(self.filesystem, self.path)
        if not content.bytes:
            raise UserError(f"{self.path} is empty (0 bytes); deliver it again or take it out of the source")
        return content

    @contextlib.contextmanager
    def on_disk(self) -> Iterator["SourceFile"]:
        """The file on this machine: itself, or a copy that lives as long as the block.

        Raises:
            UserError: the file cannot be read.
        """
        if self.filesystem is None:
            yield self
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PurePosixPath(self.path).name
            with _refused_by_name(self.path), self.filesystem.open(self.path, "rb") as remote, copy.open("wb") as local:
                shutil.copyfileobj(remote, local, CHUNK_BYTES)
            yield SourceFile(str(copy), self.name)


def find(source: str, work: Address) -> list[SourceFile]:
    """The files that the source names, in the order of their paths.

    Args:
        source: `ingest.source`.
        work: the work directory, what `{work}` stands for.

    Raises:
        UserError: no file matches, a folder is named, or the file system cannot be reached.
    """
    shown = source.replace("{work}", str(work))
    if not is_local(shown):
        found = _find_remote(shown)
    else:
        found = _find_local(source.replace("{work}", glob.escape(str(work))), _without_wildcards(shown))
    if not found:
        raise UserError(f"no file matches ingest.source {shown}; check the path and that the data has arrived")
    return sorted(found, key=lambda file: file.path)


def _find_local(pattern: str, fixed: PurePosixPath) -> list[SourceFile]:
    paths = glob.glob(pattern, recursive=True)  # noqa: PTH207 - the pattern may be absolute, with a wildcard anywhere
    if not glob.has_magic(pattern) and Path(pattern).is_dir():
        example = f"{pattern.rstrip('/')}/*.parquet"
        raise UserError(f"ingest.source {pattern} is a folder; name its files, such as {example}")
    named = [(path, _name(path, fixed)) for path in paths if Path(path).is_file()]
    return [SourceFile(path, name) for path, name in named if not _is_hidden(name)]


def _find_remote(url: str) -> list[SourceFile]:
    import fsspec  # costs 0.1 s that local files need not pay

    with _refused_by_name(url):
        filesystem, pattern = fsspec.core.url_to_fs(url)
        filesystem.invalidate_cache()  # what was listed earlier in this process may have been replaced
        fixed = _without_wildcards(pattern)
        paths = [str(path) for path in filesystem.glob(pattern) if filesystem.isfile(path)]
    named = [(path, _name(path, fixed)) for path in paths]
    return [SourceFile(path, name, filesystem) for path, name in named if not _is_hidden(name)]


def _without_wildcards(pattern: str) -> PurePosixPath:
    """The folder that all matching paths lie in."""
    fixed = PurePosixPath()
    for part in PurePosixPath(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _name(path: str, fixed: PurePosixPath) -> str:
    pure = PurePosixPath(path)
    return str(pure.relative_to(fixed)) if pure.is_relative_to(fixed) else pure.name


def _is_hidden(name: str) -> bool:
    return any(part.startswith(HIDDEN) for part in PurePosixPath(name).parts)


@contextlib.contextmanager
def _refused_by_name(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        raise UserError(f"{what} cannot be read ({error}); check that it is there and that you may read it") from None
