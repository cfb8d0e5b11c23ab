"""The folder of a training under way, `<work>/checkpoints/<digest of all that it depends on>/`.

Where the work directory is a bucket, it lies in a scratch folder of this machine, and the bucket has a copy of what is
saved there (mirror.py). The same training, run again after it was killed, finds the folder by its name and goes on from
there: it must be of the same code too. A run without cache uses nothing of an earlier one, and so empties the folder.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from components import artifacts
from components.digests.ahead import ahead
from components.digests.content import file_digest
from components.errors import UserError
from components.learning.mirror import mirrored
from components.storage.address import Address, is_local, joined
from components.storage.fetched import scratch

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
LOCK = "lock"
COMPONENTS = Path(__file__).parents[1]
SHARED = ("features", "learning")
"""The rooms, besides the step's own, whose code trains."""
OF_NO_CONSEQUENCE = ("budget", "cache", "cache_memory_share", "checkpoint_minutes")
"""Keys of `Fitting` that change no weight: given more of it, a training goes on from where it had too little."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder of a training while the block runs; the lock ends with the process, however that ends.

    Raises:
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is at this very training, in {folder}; wait for it or stop it") from None
        except OSError as error:
            log.warning("%s cannot be locked (%s): see to it that no other run is at this training", folder, error)
        # Whoever held it may have ended, and removed the folder, after the file was opened here.
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise UserError(f"another run has just ended this very training, in {folder}; run it again")
        yield


def folder_of(work: Address, name: str) -> Path:
    """Where a training keeps its state on this machine; it need not exist.

    Args:
        work: the work directory.
        name: what `digest` gave.
    """
    return (Path(work) if is_local(work) else scratch()) / CHECKPOINTS / name


@contextlib.contextmanager
def kept_while_made(work: Address, name: str) -> Iterator[Path]:
    """Holds the folder of a training until what it is for is whole, and removes it before letting go.

    Args:
        work: the work directory.
        name: what `digest` gave.

    Raises:
        UserError: another process holds it.
        OSError: its copy in the bucket cannot be read.
    """
    folder, is_fresh = folder_of(work, name), bool(os.environ.get(artifacts.FRESH_VARIABLE))
    with held(folder):
        if is_fresh:
            _empty(folder)
        copy = joined(work, f"{CHECKPOINTS}/{name}")
        with contextlib.nullcontext() if is_local(copy) else mirrored(folder, str(copy), is_fresh):
            yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def digest(step: str, described: str, *folders: Path) -> str:
    """The digest of all that a training depends on, its code included.

    Args:
        step: the step that trains.
        described: its configuration, as canonical JSON.
        folders: the artifacts that it reads.
    """
    found = hashlib.sha256(described.encode())
    code = [(COMPONENTS, path) for room in (*SHARED, step) for path in sorted((COMPONENTS / room).rglob("*.py"))]
    read = code + [(folder, path) for folder in folders for path in _identifying(folder)]
    for (root, path), content in zip(read, ahead(file_digest, [path for _, path in read]), strict=True):
        found.update(f"{path.relative_to(root)} {content}\n".encode())
    return found.hexdigest()[:32]


def _identifying(folder: Path) -> list[Path]:
    """The files of an artifact that are the same whenever it is made of the same; not the records, which tell times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if artifacts.RECORDS not in path.relative_to(folder).parts]
