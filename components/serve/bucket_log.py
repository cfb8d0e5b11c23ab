"""Files of lines in a bucket, bounded together: lines wait in memory until there are enough, or a minute is over."""

import os
import secrets
import sys
import time
from collections.abc import Sequence

from components.storage.open import open_storage

FILES = 8
"""Of a log that is full: what is deleted at once is an eighth of it."""
WAIT_S = 60.0
RETRY_S = 10.0


class BucketWriter:
    """Writes to `<address>/<time>-<process>.jsonl`, as `request_log.Writer` does to a folder."""

    def __init__(self, address: str, max_bytes: int) -> None:
        """Asks the bucket nothing yet.

        Args:
            address: `s3://bucket/prefix`.
            max_bytes: bound of all files together.
        """
        self._address, self._max_bytes = address, max_bytes
        self._storage = open_storage(address)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._due_s = 0.0
        self._complained = False

    def write(self, lines: Sequence[bytes]) -> int:
        """Takes lines; returns how many there is room for."""
        most = self._max_bytes // FILES
        taken = 0
        for line in lines:
            if len(line) > most:
                continue
            if self._bytes + len(line) > most and not self._makes_room():
                continue
            self._due_s = self._due_s if self._lines else time.monotonic() + WAIT_S
            self._lines.append(line)
            self._bytes += len(line)
            taken += 1
        return taken

    def settle(self) -> None:
        """Writes what has waited for long enough."""
        if self._lines and time.monotonic() > self._due_s:
            self._send()

    def close(self) -> None:
        """Writes what waits."""
        if self._lines:
            self._send()

    def _makes_room(self) -> bool:
        """Not asked of a bucket that was away a moment ago: each line that comes would wait for it."""
        return (not self._complained or time.monotonic() > self._due_s) and self._send()

    def _send(self) -> bool:
        """Whether the lines are written; where they are not, they go on waiting, and it is said once why."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"{time.time() % 1:.6f}"[1:]
        try:
            self._storage.write(f"{stamp}-{os.getpid()}-{secrets.token_hex(2)}.jsonl", b"".join(self._lines))
            self._lines, self._bytes, self._complained = [], 0, False
            self._delete_oldest()
        except OSError as error:
            if not self._complained:
                print(f"requests cannot be logged to {self._address}: {error}", file=sys.stderr, flush=True)
            self._complained, self._due_s = True, time.monotonic() + RETRY_S
            return not self._lines
        return True

    def _delete_oldest(self) -> None:
        """Makes room for one more file."""
        sizes = {entry.key: entry.bytes for entry in self._storage.entries() if entry.key.endswith(".jsonl")}
        total, going = sum(sizes.values()), []
        for key in sorted(sizes):
            if total <= self._max_bytes * (FILES - 1) // FILES:
                break
            going.append(key)
            total -= sizes[key]
        self._storage.delete(going)
