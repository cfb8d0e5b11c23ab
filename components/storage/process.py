"""Tells by what a lease or a mark says of its holder whether that process still lives.

A host's name is no proof: two containers may share it, and each counts its processes from 1. So a machine is known by
its boot, a container by its namespace of processes, and a process also by when it started, because numbers come again.
"""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENDED = -1
ENDED_STATES = ("Z", "X")
"""Of processes whose parent has not noticed yet, as `/proc/<pid>/stat` gives them."""


def this_process() -> dict[str, Any]:
    """What a lease or a mark says of its holder: `machine`, `pid`, `started`; null where the system does not tell."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_living(holder: Mapping[str, Any]) -> bool | None:
    """Whether a process still lives.

    Args:
        holder: what `this_process` gave it.

    Returns:
        None where it cannot be told: it is of another machine or container, or of nothing that makes sense.
    """
    pid = holder.get("pid")
    if _machine() is None or holder.get("machine") != _machine() or not isinstance(pid, int) or pid < 1:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's, so it lives
        pass
    now, then = _started(pid), holder.get("started")
    return now != ENDED and (now is None or then is None or now == then)


@functools.cache
def _machine() -> str | None:
    """One boot of a machine, and a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """When a process started, in ticks since boot; `ENDED`, or None where that is not shown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return ENDED if fields[0] in ENDED_STATES else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
