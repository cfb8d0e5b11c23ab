"""Notices that the process is told to end, so that a training saves its checkpoint first."""

import signal
from collections.abc import Callable


class Termination:
    """Whether SIGTERM came, from `with` to the end of its block; `with` gives a function that tells."""

    def __enter__(self) -> Callable[[], bool]:
        self._came = False
        self._before = signal.signal(signal.SIGTERM, self._note)
        return lambda: self._came

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self._came = True
