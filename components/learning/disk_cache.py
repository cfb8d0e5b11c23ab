"""Parsed examples on disk, for those that do not fit into memory: parsed once, then read row by row in any order.

A folder with one file for each column, `<column>.bin` (rows of equal width, one after the other), and `columns.json`,
which tells their types, shapes and number of rows. The folder appears whole or not at all.
"""

import contextlib
import errno
import logging
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components import artifacts
from components.errors import UserError
from components.learning.input import Columns, Reader

log = logging.getLogger(__name__)
DESCRIPTION = "columns.json"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
MIB = 2**20


def columns(reader: Reader, folder: Path) -> Columns:
    """A process's examples, mapped from files, which are written where they are not there yet.

    Args:
        reader: of the examples.
        folder: of these very examples and of this process alone; need not exist.

    Raises:
        UserError: there is no room on the disk.
    """
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _remove_unfinished(folder)
        with _room_for(reader.size_bytes, folder), artifacts.atomic_folder(folder) as unfinished:
            rows = _write(reader, unfinished)
        log.info("%d examples are kept on disk, in %s", rows, folder)
    return _open(folder)


def _is_whole(folder: Path) -> bool:
    """Whether the files have the sizes that their description tells."""
    try:
        described = artifacts.read_json(folder / DESCRIPTION)
        return all(
            (folder / _file_of(name)).stat().st_size
            == described["rows"] * math.prod(column["shape"]) * np.dtype(column["dtype"]).itemsize
            for name, column in described["columns"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _open(folder: Path) -> Columns:
    described = artifacts.read_json(folder / DESCRIPTION)
    rows = described["rows"]
    return {
        name: _map(folder / _file_of(name), (rows, *column["shape"]), np.dtype(column["dtype"]))
        for name, column in described["columns"].items()
    }


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if not shape[0]:
        return np.empty(shape, dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype, "r", shape=shape)


def _write(reader: Reader, folder: Path) -> int:
    """Writes chunk by chunk, so that few are in memory at a time; returns the number of rows."""
    rows = 0
    chunks = reader.parsed()
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context((folder / _file_of(name)).open("wb")) for name in chunks.element_spec}
        for chunk in chunks.as_numpy_iterator():
            for name, values in chunk.items():
                files[name].write(values)
            rows += len(values)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    described = {
        name: {"dtype": spec.dtype.name, "shape": list(spec.shape[1:])} for name, spec in chunks.element_spec.items()
    }
    artifacts.write_json(folder / DESCRIPTION, {"rows": rows, "columns": described})
    return rows


@contextlib.contextmanager
def _room_for(size_bytes: int, folder: Path) -> Iterator[None]:
    """Says in one sentence that there is no room, before the block or when it finds out."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    refusal = UserError(
        f"train.cache is disk, but the examples take {size_bytes / MIB:,.0f} MiB and {folder.parent} has "
        f"{free / MIB:,.0f} MiB of room; make room there, or set train.cache to none"
    )
    if size_bytes > free:
        raise refusal
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise refusal from None
        raise


def _remove_unfinished(folder: Path) -> None:
    """Removes what a process that was killed while it wrote has left: it may be large."""
    for path in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _file_of(column: str) -> str:
    return f"{column}.bin"
