"""Ends a run's tasks when the run itself is asked to end."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible(end_tasks: Callable[[], None]) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM end the run's tasks and raise KeyboardInterrupt.

    KFP waits for the task at work: a run that is told to end, by Ctrl-C, `timeout` or a service manager, would leave
    that task behind, or wait for it.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        end_tasks()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_children() -> None:
    """Tells this process's children and theirs to end."""
    for process in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def _descendants(process: int) -> list[int]:
    """The process's children and theirs; none where there is no `/proc` (it is Linux's)."""
    children: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, path.read_text().split())
    return [*children, *(below for child in children for below in _descendants(child))]
