"""Ends a run's tasks when the run itself is asked to end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def ends_children() -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM end this process's children and raise KeyboardInterrupt.

    KFP waits for the task at work: a run that is told to end, by Ctrl-C, `timeout` or a service manager, would leave
    that task behind, or wait for it.
    """
    before = {number: signal.signal(number, _end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    for process in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    raise KeyboardInterrupt


def _descendants(process: int) -> list[int]:
    """The process's children and theirs; none where there is no `/proc` (it is Linux's)."""
    children: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, path.read_text().split())
    return [*children, *(below for child in children for below in _descendants(child))]
