"""The folders of a model's partitions, in a folder or a bucket: found, and added so that they are whole."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.storage.address import Address, is_local
from components.storage.open import open_storage

FOLDER = "partitions"
ROWS, REJECTED, DESCRIPTION = "rows.parquet", "rejected.parquet", "partition.json"


class Partitions:
    """`partitions/<digest>/` below a data root. In a bucket the description comes last: with it a partition is whole.

    A bucket is listed once, at the beginning: what another run adds meanwhile is added again, which changes nothing.
    """

    def __init__(self, data_root: Address) -> None:
        """Takes `<work>/data/<model>`, which need not exist."""
        self._storage = open_storage(data_root)
        self._is_local = is_local(data_root)
        self._listed = None if self._is_local else {entry.key for entry in self._storage.entries(FOLDER)}

    def find(self, digest: str) -> dict[str, Any] | None:
        """What describes a partition; None where there is none, or not a whole one."""
        if not self._is_whole(digest):
            return None
        found: dict[str, Any] = json.loads(self._storage.read(f"{FOLDER}/{digest}/{DESCRIPTION}"))
        return found

    @contextlib.contextmanager
    def adding(self, digest: str) -> Iterator[Path]:
        """Gives a folder for a partition's files, which are there when the block ends.

        A second run that adds the same partition at the same time may win.

        Raises:
            OSError: it cannot be written.
        """
        try:
            with self._storage.filling(f"{FOLDER}/{digest}", last=[DESCRIPTION]) as folder:
                yield folder
                self._make_room(digest)
        except OSError:
            if not self._is_whole(digest):
                raise
        if self._listed is not None:
            self._listed |= {f"{FOLDER}/{digest}/{name}" for name in (ROWS, REJECTED, DESCRIPTION)}

    def _is_whole(self, digest: str) -> bool:
        keys = [f"{FOLDER}/{digest}/{name}" for name in (ROWS, REJECTED, DESCRIPTION)]
        if self._listed is not None:
            return self._listed.issuperset(keys)
        return all(self._storage.exists(key) for key in keys)

    def _make_room(self, digest: str) -> None:
        """Takes a partition away of which a file was deleted; in a bucket it is written over."""
        if self._is_local and self._storage.names(f"{FOLDER}/{digest}") and not self._is_whole(digest):
            self._storage.remove(f"{FOLDER}/{digest}")
