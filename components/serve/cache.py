"""Predictions remembered by their rows: bounded, the least recently asked go first."""

from collections import OrderedDict
from typing import Any

Row = tuple[Any, ...]
MAX_BYTES = 48 * 1024 * 1024
"""A bound of the memory of the remembered rows."""
VALUE_BYTES = 80
"""A value of a row in memory, on average, without the characters of a text or the bytes of an image."""
NOTHING: tuple[Row, Any, int] = ((), None, 0)


class Cache:
    """Least recently used, for one loaded version, so that a prediction of one version never answers for another.

    Not for threads: only the event loop uses it.
    """

    def __init__(self, entries: int, max_bytes: int = MAX_BYTES) -> None:
        """Makes an empty cache.

        Args:
            entries: rows remembered at most; 0: none.
            max_bytes: bound of the rows' sizes together.
        """
        self._most, self._max_bytes = entries, max_bytes
        self.bytes = 0
        # By the row's hash, so that moving an entry to the end does not compute it again: that is most of the cost.
        self._entries: OrderedDict[int, tuple[Row, Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, row: Row) -> Any:
        """The row's prediction; None where it is not remembered."""
        key = hash(row)
        known, prediction, _ = self._entries.get(key, NOTHING)
        if known != row:
            return None
        self._entries.move_to_end(key)
        return prediction

    def put(self, row: Row, prediction: Any) -> None:
        """Remembers a prediction.

        Args:
            row: hashable and canonical.
            prediction: not None.
        """
        size = VALUE_BYTES * len(row) + sum([len(value) for value in row if type(value) in (str, bytes)])
        if size * 16 > self._max_bytes or not self._most:
            return
        key = hash(row)
        self.bytes += size - self._entries.get(key, NOTHING)[2]
        self._entries[key] = (row, prediction, size)
        self._entries.move_to_end(key)
        while len(self._entries) > self._most or self.bytes > self._max_bytes:
            _, (_, _, gone) = self._entries.popitem(last=False)
            self.bytes -= gone
