"""The folder of a training under way, `<work>/checkpoints/<digest of all that it depends on>/`.

The same training, run again after it was killed, finds the folder by its name and goes on from there.
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
from components.errors import UserError

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
OF_NO_CONSEQUENCE = ("budget", "cache", "cache_memory_share", "checkpoint_minutes")
"""Keys of `Fitting` that change no weight: given more of it, a training goes on from where it had too little."""


@contextlib.contextmanager
def held(scratch: Path) -> Iterator[None]:
    """Holds the folder of a training while the block runs; the lock ends with the process, however that ends.

    Raises:
        UserError: another process holds it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is at this very training, in {scratch}; wait for it or stop it") from None
        except OSError as error:
            log.warning("%s cannot be locked (%s): see to it that no other run is at this training", scratch, error)
        # Whoever held it may have ended, and removed the folder, after the file was opened here.
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise UserError(f"another run has just ended this very training, in {scratch}; run it again")
        yield


@contextlib.contextmanager
def kept_while_made(scratch: Path) -> Iterator[None]:
    """Holds the folder of a training until what it is for is whole, and removes it before letting go.

    Raises:
        UserError: another process holds it.
    """
    with held(scratch):
        yield
        shutil.rmtree(scratch, ignore_errors=True)


def digest(described: str, *folders: Path) -> str:
    """The digest of all that a training depends on.

    Args:
        described: its configuration, as canonical JSON.
        folders: the artifacts that it reads.
    """
    found = hashlib.sha256(described.encode())
    for folder in folders:
        for path in _identifying(folder):
            found.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            if path.suffix == ".json":
                found.update(path.read_bytes())
    return found.hexdigest()[:32]


def _identifying(folder: Path) -> Iterator[Path]:
    """The files of an artifact that are the same whenever it is made of the same; not the records, which tell times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return (path for path in files if artifacts.RECORDS not in path.relative_to(folder).parts)
