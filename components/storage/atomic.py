"""Writes to the local disk that are there whole or not at all, even when the process is killed or the power fails."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


def beside(path: Path) -> Path:
    """A name for what is written beside `path` and renamed then; cleanup frees `.*.tmp` that were left for a day."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically: beside, then renamed. Creates the parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = beside(path)
    try:
        write_durably(written, content)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has its bytes."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Waits until the disk has a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder that appears at `path` whole or not at all.

    Yields a new folder beside `path`; it is renamed when the block ends, and removed when the block raises.

    Raises:
        OSError: there is a folder with something in it at `path` already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = beside(path)
    written.mkdir()
    try:
        yield written
        written.rename(path)
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise
