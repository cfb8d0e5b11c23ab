"""The few operations on files that the model store and cleanup need, the same on a folder and on `s3://`.

Keys are relative to the storage's root and separated by "/"; a `prefix` is a key that names a folder, "" the root.
Errors of the storage (no such bucket, not allowed, not reachable, disk full) are OSErrors that name what was asked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

PIECE_BYTES = 1 << 20
TOMBSTONE = ".deleted-"
"""A folder that is being deleted is renamed to `.deleted-<name>.<id>.tmp` first."""


class Entry(NamedTuple):
    """A file."""

    key: str
    """Relative to the root of the storage, not to the prefix that was listed."""
    bytes: int
    modified_s: float
    """Seconds since 1970; whole seconds on S3."""


class Cell(NamedTuple):
    """What a file held that is changed by compare-and-swap."""

    content: bytes
    tag: str
    """Stands for the content in `swap`."""
    key: str
    """Where it lies: on a bucket without conditional writes not where it was asked for."""


class Upload(NamedTuple):
    """A multipart upload that was begun and never finished: S3 keeps, and charges for, its parts."""

    key: str
    id: str
    started_s: float
    """Seconds since 1970."""


class Storage(Protocol):
    """A folder, or a prefix of a bucket."""

    url: str
    """How messages name it."""

    def address(self, key: str) -> str:
        """How messages name a file: a path, or an URL."""

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """All files below a prefix, at any depth, in no certain order, as they are found.

        Symbolic links are left out, and so is what vanishes meanwhile.
        """

    def names(self, prefix: str = "") -> list[str]:
        """The names of the files and folders directly below a prefix, sorted; none where there is no such folder.

        Some S3 servers also give folders that have become empty.
        """

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""

    def read(self, key: str) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def stream(self, key: str) -> Iterator[bytes]:
        """A file's bytes in pieces of at most 1 MiB.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def write(self, key: str, content: bytes) -> None:
        """Writes or replaces a file; readers find the old bytes or the new ones, never a part."""

    def create(self, key: str, content: bytes) -> bool:
        """Writes a file that is not there yet; of several at once one succeeds.

        Returns:
            whether this call made it, also where its answer got lost and was asked for again: so the content must hold
            something that no other caller writes. On a bucket without conditional writes the bytes lie below `key`
            without its suffix (`numbered.py`).
        """

    def cell(self, key: str) -> Cell | None:
        """What a file holds that is only written by `swap`; None where it was never written."""

    def swap(self, key: str, content: bytes, expected: str | None) -> bool:
        """Replaces such a file if it still holds what it held.

        Args:
            key: the file.
            content: the new bytes.
            expected: the tag that `cell` gave; None: the file must not exist.

        Returns:
            False where it holds something else; nothing was written then.
        """

    def forget(self, key: str) -> None:
        """Deletes a file that is only written by `swap`; one that is gone already is no error."""

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes files, in this order by batches; those that are gone already are no error."""

    def remove(self, prefix: str, first: Sequence[str] = ()) -> None:
        """Deletes all that lies below a prefix; one that is gone already is no error.

        A folder is renamed to a tombstone first, so that it is gone in one step. On S3 the order counts:

        Args:
            prefix: the folder, not the root.
            first: keys without which the rest is not looked for; they go before it.
        """

    def upload(self, folder: Path, prefix: str, last: Sequence[str] = ()) -> None:
        """Copies the files of a local folder to a prefix.

        Args:
            folder: of this machine.
            prefix: where to.
            last: files, relative to the folder, without which readers do not look at the rest; they go after it.
        """

    def filling(self, prefix: str, last: Sequence[str] = ()) -> AbstractContextManager[Path]:
        """Gives a new folder of this machine, to be filled; when the block ends, its files are at the prefix.

        A folder appears whole. On S3 the order counts: see `upload`. Nothing is written when the block raises.

        Raises:
            OSError: there is a folder with something in it at the prefix already.
        """

    def download(self, prefix: str, folder: Path) -> None:
        """Copies all files below a prefix into a local folder, which is made."""

    def fetch(self, key: str, path: Path) -> None:
        """Copies a file to this machine, whole or not at all; its folder must be there.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def uploads(self, prefix: str = "") -> Iterator[Upload]:
        """The unfinished multipart uploads below a prefix; a folder has none."""

    def abort(self, upload: Upload) -> None:
        """Frees an unfinished upload; one that is gone already is no error."""


def below(prefix: str) -> str:
    """A prefix as the beginning of the keys below it."""
    return f"{prefix.rstrip('/')}/" if prefix else ""
