"""Cleanup in a process that is killed just before its n-th change of a disk or bucket."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.cleanup.cleanup import clean_up
from components.storage.bucket import BucketStorage
from tests.cleanup.house import RETENTION

CHANGES = ("rename", "replace", "unlink", "rmdir", "link", "fsync")
REQUESTS = ("put_object", "delete_objects", "abort_multipart_upload")


def was_killed(work: Path | str, now_s: float, nth: int) -> bool:
    """Cleans up; returns whether there was an n-th change to be killed at."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.cleanup.killing", "s3fs"])
    process = context.Process(target=_clean_up, args=(work, now_s, nth))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _clean_up(work: Path | str, now_s: float, nth: int) -> None:
    count = itertools.count(1)
    for name in CHANGES:
        setattr(os, name, _deadly(getattr(os, name), count, nth))
    call = BucketStorage._call

    def deadly(self: BucketStorage, method: str, key: str, **arguments: Any) -> Any:
        wrapped = _deadly(call, count, nth) if method in REQUESTS else call
        return wrapped(self, method, key, **arguments)

    BucketStorage._call = deadly
    assert clean_up(work, {"flights": RETENTION}, now_s)["flights"].failed == []


def _deadly(change: Callable[..., Any], count: "itertools.count[int]", nth: int) -> Callable[..., Any]:
    def changed(*arguments: Any, **named: Any) -> Any:
        if next(count) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **named)

    return changed
