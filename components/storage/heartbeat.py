"""Signs of life, which others find in a file while a process is at work on something."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Calls `beat` once, and then by a thread of its own at intervals while the block runs.

    Args:
        beat: what a full disk or a storage that cannot be reached keeps from succeeding is tried at the next interval.
        every_s: seconds.

    Raises:
        OSError: the first call failed.
    """
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(every_s):
            with contextlib.suppress(OSError):
                beat()

    beat()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
