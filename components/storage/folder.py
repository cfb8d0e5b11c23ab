"""A storage in a folder of this machine, or of a file system that all machines mount."""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import xxhash

from components.storage.atomic import atomic_folder, beside, sync, write_bytes, write_durably
from components.storage.storage import PIECE_BYTES, TOMBSTONE, Cell, Entry, Upload, below


class FolderStorage:
    """See `Storage`. What is written is durable when the call returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def address(self, key: str) -> str:
        """The file's path."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        """Where a file lies.

        Raises:
            ValueError: the key leads out of the folder.
        """
        if key.startswith("/") or ".." in PurePosixPath(key).parts:
            raise ValueError(f"{key!r} is no key below {self.url}")
        return self.root / key

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """All files below a prefix; see `Storage`."""
        waiting = [below(prefix)]
        while waiting:
            folder = waiting.pop()
            for entry in _scan(self.path(folder)):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{folder}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        status = entry.stat(follow_symlinks=False)
                        yield Entry(folder + entry.name, status.st_size, status.st_mtime)

    def names(self, prefix: str = "") -> list[str]:
        """The names directly below a prefix; see `Storage`."""
        return sorted(entry.name for entry in _scan(self.path(prefix)))

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self.path(key).is_file()

    def read(self, key: str) -> bytes:
        """A file's bytes."""
        return self.path(key).read_bytes()

    def stream(self, key: str) -> Iterator[bytes]:
        """A file's bytes in pieces."""
        with self.path(key).open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def write(self, key: str, content: bytes) -> None:
        """Writes beside, then renames."""
        path = self.path(key)
        write_bytes(path, content)
        sync(path.parent)

    def create(self, key: str, content: bytes) -> bool:
        """Writes beside, then links: link(2) refuses a name that is taken."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = beside(path)
        try:
            write_durably(written, content)
            path.hardlink_to(written)
        except FileExistsError:
            return False
        finally:
            written.unlink(missing_ok=True)
        sync(path.parent)
        return True

    def cell(self, key: str) -> Cell | None:
        """What a file holds; its tag is the digest of that."""
        try:
            content = self.read(key)
        except FileNotFoundError:
            return None
        return Cell(content, _tag(content), key)

    def swap(self, key: str, content: bytes, expected: str | None) -> bool:
        """Compares and replaces under a lock, which goes with the process that holds it."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.cell(key)
            if (before and before.tag) != expected:
                return False
            self.write(key, content)
        return True

    def forget(self, key: str) -> None:
        """Deletes the file; `.lock`, which its neighbours share, stays."""
        self.delete([key])

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes files; their folders stay."""
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def remove(self, prefix: str, first: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Renames the folder to a tombstone, then deletes that; what a killed process leaves is cleanup's."""
        path = self.path(prefix)
        if not path.name.startswith(TOMBSTONE):
            tombstone = path.with_name(f"{TOMBSTONE}{path.name}.{uuid.uuid4().hex}.tmp")
            try:
                path.rename(tombstone)
            except FileNotFoundError:
                return
            path = tombstone
            sync(path.parent)
        shutil.rmtree(path)

    def upload(self, folder: Path, prefix: str, last: Sequence[str] = ()) -> None:
        """Copies files from another folder, each atomically."""
        others = [entry.key for entry in FolderStorage(folder).entries() if entry.key not in last]
        for key in (*others, *last):
            _copy(folder / key, self.path(prefix) / key)

    @contextlib.contextmanager
    def filling(self, prefix: str, last: Sequence[str] = ()) -> Iterator[Path]:  # noqa: ARG002
        """A folder beside, which is renamed."""
        with atomic_folder(self.path(prefix)) as folder:
            yield folder

    def download(self, prefix: str, folder: Path) -> None:
        """Copies files to another folder, each atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        FolderStorage(folder).upload(self.path(prefix), "")

    def fetch(self, key: str, path: Path) -> None:
        """Copies a file atomically."""
        _copy(self.path(key), path)

    def uploads(self, prefix: str = "") -> Iterator[Upload]:  # noqa: ARG002
        """None."""
        return iter(())

    def abort(self, upload: Upload) -> None:
        """Nothing: there are none."""


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _tag(content: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(content)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = beside(target)
    try:
        shutil.copyfile(source, written)
        sync(written)
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)
