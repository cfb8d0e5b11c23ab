"""Copies on this machine of what lies in a bucket, and what is written here to lie there.

Copies are of what never changes under its address: partitions, snapshots. They are made once and lie below a scratch
folder, under the bucket's name and key; a copy is there whole or not at all.

A run on this machine whose work directory is a bucket has a folder beside it, on this machine, which `BESIDE_VARIABLE`
tells its steps: copies stay there from run to run, and so do the outputs that KFP writes.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.errors import UserError
from components.storage.address import Address, is_local
from components.storage.atomic import atomic_folder
from components.storage.folder import FolderStorage
from components.storage.open import open_storage

BESIDE_VARIABLE = "EVERGREEN_BESIDE"
"""Environment variable: the folder beside the bucket that a run on this machine works in."""
SCRATCH_VARIABLE = "EVERGREEN_SCRATCH"
"""Environment variable: where copies go otherwise."""
COPIES = "copies"
log = logging.getLogger(__name__)


def scratch() -> Path:
    """The folder for what is needed on this machine only; makes one of this user's own where none is told.

    Raises:
        UserError: the one for temporary files is somebody else's.
    """
    told = os.environ.get(BESIDE_VARIABLE) or os.environ.get(SCRATCH_VARIABLE)
    if told:
        return Path(told)
    folder = Path(tempfile.gettempdir()) / f"evergreen-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; set {SCRATCH_VARIABLE} to a folder of your own")
    return folder


def copy_path(url: str) -> Path:
    """Where the copy of what lies at an URL goes."""
    return FolderStorage(scratch() / COPIES).path(url.partition("://")[2])


def fetched(address: Address) -> Path:
    """A folder that never changes, on this machine: itself, or a copy, which is made unless it is there.

    Raises:
        OSError: it cannot be read.
    """
    if is_local(address):
        return Path(address)
    copy = copy_path(str(address))
    if not _is_there(copy):
        with _unless_there(copy), atomic_folder(copy) as folder:
            open_storage(address).download("", folder)
    used(copy)
    return copy


def _is_there(copy: Path) -> bool:
    """An empty folder is what a `forget_copies` that was killed left; a new one takes its place."""
    return copy.is_dir() and any(copy.iterdir())


def fetched_file(address: Address) -> Path:
    """As `fetched`, for one file.

    Raises:
        OSError: it cannot be read.
    """
    if is_local(address):
        return Path(address)
    copy = copy_path(str(address))
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        folder, _, name = str(address).rpartition("/")
        open_storage(folder).fetch(name, copy)
    used(copy)
    return copy


@contextlib.contextmanager
def _unless_there(copy: Path) -> Iterator[None]:
    """Lets another process win that makes the same copy."""
    try:
        yield
    except OSError:
        if not _is_there(copy):
            raise


def imports_paths() -> bool:
    """Whether KFP's importer, to which steps hand on addresses, reads paths only, as it does on this machine."""
    return bool(os.environ.get(BESIDE_VARIABLE))


def used(copy: Path) -> None:
    """Notes that a copy was used just now."""
    for path in (copy, *copy.rglob("*")):
        os.utime(path)


def forget_copies(before_s: float) -> None:
    """Deletes, beside the bucket of a run on this machine, the copies that no step used since.

    Args:
        before_s: seconds since 1970.
    """
    beside = os.environ.get(BESIDE_VARIABLE)
    paths = sorted((Path(beside) / COPIES).rglob("*"), reverse=True) if beside else []  # what is inside comes first
    for path in paths:
        with contextlib.suppress(OSError):  # not empty, or gone
            if path.is_dir():
                path.rmdir()
            elif path.stat().st_mtime < before_s:
                path.unlink()


@contextlib.contextmanager
def kept_at(address: Address, folder: Path) -> Iterator[Path]:
    """A folder for what a step tells of its work: the address itself, or one that is uploaded when the block ends.

    It is uploaded however the block ends; that this fails is only logged, because it is not worth the work.

    Args:
        address: where it is kept.
        folder: of this machine, for the time of the block; used where the address is in a bucket.
    """
    if is_local(address):
        yield Path(address)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        try:
            open_storage(address).upload(folder, "")
        except OSError as error:
            log.warning("%s cannot be written: %s", address, error)
