"""The tombstone log: what cleanup deleted, `cleanup/<model>/log.jsonl`, and before that `log.1.jsonl`.

Each line is `{"time_s": seconds since 1970, "path": below the work directory, "bytes": …, "why": …}`. It is written
just before the deletion, so that nothing goes unlogged when a cleanup is killed; what stayed nevertheless is logged
again, with the `error` that kept it.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from components.cleanup.deletion import Deletion, Failure
from components.cleanup.survey import CLEANUP
from components.storage.storage import Storage

MOST_BYTES = 8_000_000
"""Of one file, about 40,000 lines; the one before the newest is kept."""


def log_deletions(storage: Storage, key: str, deletions: Sequence[Deletion], now_s: float) -> None:
    """Logs what is about to be deleted, in the log that lies at a key below the work directory."""
    lines = ({"time_s": now_s, "path": item.path, "bytes": item.bytes, "why": item.why} for item in deletions)
    _append(storage, key, lines)


def log_failures(storage: Storage, key: str, failures: Sequence[Failure], now_s: float) -> None:
    """Logs what was not deleted after all."""
    _append(storage, key, ({"time_s": now_s, "path": item.path, "error": item.error} for item in failures))


def log_key(model: str) -> str:
    """Where a model's log lies, below the work directory."""
    return f"{CLEANUP}/{model}/log.jsonl"


def _append(storage: Storage, key: str, values: Iterable[dict[str, Any]]) -> None:
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    # A full disk, which cleaning up is to mend, must not keep it from that.
    with contextlib.suppress(OSError):
        if lines:
            _write(storage, key, lines)


def _write(storage: Storage, key: str, lines: bytes) -> None:
    """An object store cannot append: the whole, bounded file is written anew, by the one cleanup that is at work."""
    try:
        before = storage.read(key)
    except FileNotFoundError:
        before = b""
    if before and len(before) + len(lines) > MOST_BYTES:
        storage.write(f"{key.removesuffix('.jsonl')}.1.jsonl", before)
        before = b""
    storage.write(key, before + lines)
