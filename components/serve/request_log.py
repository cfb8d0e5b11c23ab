"""A sample of what was asked and answered, as JSON lines: `validate` reads it for drift, `rehearse` replays it.

The event loop only puts a line into a queue; a thread writes. When the disk is slow or fails, lines are dropped and
counted, and no request waits. Lines go to one file after another, `<time>-<process>.jsonl`, so that several servers may
share a folder; when all together are larger than the bound, the oldest go.
"""

import contextlib
import math
import os
import random
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from components.serve.answers import encode
from components.serve.bucket_log import FILES, BucketWriter
from components.serve.counters import Counters
from components.storage.address import Address

WRITE_EVERY_S = 0.25
MAX_WAITING_BYTES = 4 * 1024 * 1024
MOST_SKIPPED = 2.0**53
"""More than a server sees; the smallest shares would give infinity."""
Instance = Callable[[int], dict[str, Any]]
"""An instance of a request as JSON values, by its index."""


class RequestLog:
    """The log of one model."""

    def __init__(self, folder: Address | None, share: float, max_bytes: int, counters: Counters) -> None:
        """Starts a thread if there is something to write.

        Args:
            folder: where the files go, a folder or `s3://…`; None: nothing is logged.
            share: the chance of an instance to be logged.
            max_bytes: bound of all files together.
            counters: of the model.
        """
        self._counters = counters
        self._share = share if folder else 0.0
        self._skip = self._next_skip()
        self._lines: deque[bytes] = deque()
        self._added_bytes = 0  # by the event loop alone
        self._taken_bytes = 0  # by the thread alone
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if folder is not None and share:
            self._writer = Writer(folder, max_bytes) if isinstance(folder, Path) else BucketWriter(folder, max_bytes)
            self._thread = threading.Thread(target=self._write_until_closed, name="request-log", daemon=True)
            self._thread.start()

    def sample(self, version: int | None, predictions: Sequence[Any], instance: Instance) -> None:
        """Logs those of a request's instances whose turn it is.

        Args:
            version: that predicted.
            predictions: one for each instance.
            instance: gives an instance as it came, by its index.
        """
        self._skip -= len(predictions)
        while self._skip < 0:  # the chance is the same for all, and what is not logged costs one subtraction
            index = int(len(predictions) + self._skip)
            self._skip += self._next_skip() + 1
            self._add(version, predictions[index], instance(index))

    def close(self) -> None:
        """Writes what is waiting, for one second at most."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _next_skip(self) -> float:
        """How many instances to pass over until the next: geometrically distributed."""
        if self._share <= 0:
            return math.inf
        if self._share >= 1:
            return 0
        skip = math.log1p(-random.random()) / math.log1p(-self._share)
        return math.floor(min(skip, MOST_SKIPPED))

    def _add(self, version: int | None, prediction: Any, instance: Any) -> None:
        entry = {"time_s": round(time.time(), 3), "version": version, "instance": instance, "prediction": prediction}
        line = encode(entry) + b"\n"
        if self._added_bytes - self._taken_bytes + len(line) > MAX_WAITING_BYTES or self._closing.is_set():
            self._counters.add_lines(dropped=1)
            return
        self._added_bytes += len(line)
        self._lines.append(line)

    def _write_until_closed(self) -> None:
        while not self._closing.wait(WRITE_EVERY_S):
            self._write()
        self._write()
        self._writer.close()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        self._taken_bytes += sum(map(len, lines))
        for start in range(0, len(lines), 256):
            some = lines[start : start + 256]
            written = self._writer.write(some)
            self._counters.add_lines(written, len(some) - written)
        self._writer.settle()


class Writer:
    """Files of lines in a folder, bounded together."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Makes nothing yet: the folder comes with the first line.

        Args:
            folder: where the files go.
            max_bytes: bound of all files together.
        """
        self._folder, self._max_bytes = folder, max_bytes
        self._file: BinaryIO | None = None
        self._room = 0
        self._complained = False

    def write(self, lines: Sequence[bytes]) -> int:
        """Appends lines; says once why, when it cannot.

        Returns:
            how many lines were written; those larger than a file, and all of a failed call, are not.
        """
        fitting = [line for line in lines if len(line) <= self._max_bytes // FILES]
        try:
            if self._file is not None and not os.fstat(self._file.fileno()).st_nlink:
                self._next_file()  # another server made room for its own
            for line in fitting:
                self._append(line)
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            self._complain(error)
            self.close()
            return 0
        self._complained = False
        return len(fitting)

    def settle(self) -> None:
        """Nothing waits."""

    def _append(self, line: bytes) -> None:
        if self._file is None or self._room < len(line):
            self._next_file()
        assert self._file is not None
        self._room -= len(line)
        self._file.write(line)

    def close(self) -> None:
        """Closes the file."""
        file, self._file = self._file, None
        if file is None:
            return
        with contextlib.suppress(OSError):  # what it cannot flush was counted as dropped
            file.close()
        path = Path(file.name)
        with contextlib.suppress(OSError):
            if not path.stat().st_size:
                path.unlink()

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            print(f"requests cannot be logged to {self._folder}: {error}", file=sys.stderr, flush=True)
        self._complained = True

    def _next_file(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._delete_oldest()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"{time.time() % 1:.6f}"[1:]
        path = self._folder / f"{stamp}-{os.getpid()}-{secrets.token_hex(2)}.jsonl"
        self._file = path.open("xb")
        self._room = self._max_bytes // FILES

    def _delete_oldest(self) -> None:
        """Makes room for one more file."""
        sizes: dict[Path, int] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            with contextlib.suppress(FileNotFoundError):  # another server makes room too
                sizes[path] = path.stat().st_size
        for path in list(sizes):
            if sum(sizes.values()) <= self._max_bytes * (FILES - 1) // FILES:
                break
            path.unlink(missing_ok=True)
            del sizes[path]
