"""Writes files that appear whole or not at all, and says in one sentence why one cannot be written."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from components.errors import UserError


def move(beside: Path, path: Path) -> None:
    """Gives a file its name once it would outlive a loss of power."""
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    beside.replace(path)


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turns errors of the file system into one sentence.

    Raises:
        UserError: the block met such an error while it wrote into `folder`.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"predictions cannot be written into {folder} ({error}); make room there or give another folder, and run "
            "again: finished files are kept"
        ) from error
