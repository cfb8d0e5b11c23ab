"""One request to a Kubernetes API server: made again while the server is away, and refused in one sentence."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.kubernetes import patience
from components.kubernetes.errors import message, passes, refused
from components.kubernetes.tfjob import Object

TIMEOUT_S = (10, 30)
"""To connect, and between two pieces of an answer."""
OUTAGE_S = 15 * 60.0
SERVER = "the API server of Kubernetes"


def ask(call: Callable[..., Any], outage_s: float | None = None, /, **arguments: Any) -> Any:
    """The answer of a call of the client.

    Args:
        call: a method of the client.
        outage_s: how long the API server may be away; None: `OUTAGE_S`.
        arguments: of the call.

    Raises:
        ApiException: an error that stays.
        AwayError: the API server was away for so long.
    """
    return patience.ask(
        lambda: call(**arguments, _request_timeout=TIMEOUT_S),
        SERVER, (ApiException, HTTPError), passes, message, OUTAGE_S if outage_s is None else outage_s,
    )  # fmt: skip


def read(doing: str, call: Callable[..., Any], outage_s: float | None = None, /, **arguments: Any) -> Object | None:
    """An object as it is in the answer: the client's own classes leave out what they do not know.

    Returns:
        None where there is none.

    Raises:
        UserError: it may not be read.
        AwayError: the API server was away for so long.
    """
    with refusing(doing):
        try:
            found: Object = json.loads(ask(whole(call), outage_s, **arguments))
        except ApiException as error:
            if error.status == 404:
                return None
            raise
    return found


def whole(call: Callable[..., Any]) -> Callable[..., bytes]:
    """A call that gives the bytes of its answer."""

    def given(**arguments: Any) -> bytes:
        content: bytes = call(**arguments, _preload_content=False).data
        return content

    return given


@contextlib.contextmanager
def refusing(doing: str) -> Iterator[None]:
    """Turns an error that stays into the sentence of what this pod cannot do.

    Raises:
        UserError: instead of the client's error.
    """
    try:
        yield
    except ApiException as error:
        raise refused(doing, error) from None
