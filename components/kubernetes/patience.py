"""Asks a server again that is away or busy."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from components.errors import UserError

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
Answer = TypeVar("Answer")


class AwayError(UserError):
    """A server was away for longer than we wait."""


def ask(
    call: Callable[[], Answer],
    server: str,
    passing: tuple[type[Exception], ...],
    passes: Callable[[Exception], bool],
    message: Callable[[Exception], str],
    limit_s: float,
) -> Answer:
    """The answer of a call, which is made again while it fails with an error that may pass.

    Args:
        call: asks once.
        server: how errors name whom it asks.
        passing: the exceptions among which some may pass.
        passes: whether one of these may be gone the next time; else it is raised.
        message: what one of these says, in one line.
        limit_s: how long the server may be away.

    Raises:
        AwayError: the server was away for so long.
    """
    began, pause_s = time.monotonic(), FIRST_PAUSE_S
    while True:
        try:
            return call()
        except passing as error:
            if not passes(error):
                raise
            if time.monotonic() - began + pause_s > limit_s:
                raise AwayError(
                    f"{server} was away for {limit_s / 60:.2g} minutes ({message(error)}); run again when it is back"
                ) from None
            log.warning("%s does not answer (%s); asked again in %.1f s", server, message(error), pause_s)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
