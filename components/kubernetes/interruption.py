"""SIGTERM, with which Kubernetes tells a pod to end: time is left to take back what was begun."""

import contextlib
import signal
from collections.abc import Iterator

from components.errors import PreemptedError


@contextlib.contextmanager
def interruptible(message: str) -> Iterator[None]:
    """While the block runs, SIGTERM raises PreemptedError, once: the second may not stop the cleaning up."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise PreemptedError(message)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
