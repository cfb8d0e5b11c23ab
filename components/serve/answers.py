"""What goes back over HTTP: answers and refusals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

Headers = list[tuple[bytes, bytes]]
encode = msgspec.json.Encoder().encode
JSON = (b"content-type", b"application/json")
RETRY = (b"retry-after", b"1")
CLOSE = (b"connection", b"close")


class Answer(NamedTuple):
    """A response, its length not yet among the headers."""

    status: int
    headers: Headers
    body: bytes


@dataclass
class RefusalError(Exception):
    """A request that is not answered as asked.

    Attributes:
        status: the HTTP status.
        kind: under which it is counted.
        message: what is wrong and what to do.
        headers: further headers.
    """

    status: int
    kind: str
    message: str
    headers: Sequence[tuple[bytes, bytes]] = ()

    def answer(self) -> Answer:
        """The response: `{"error": message}`, as KServe's servers write it."""
        return json_answer({"error": self.message}, self.status, self.headers)


def json_answer(value: Any, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """A JSON response."""
    return Answer(status, [JSON, *headers], encode(value))


def bad_request(message: str) -> RefusalError:
    """400: the request is wrong, whatever the state of the server."""
    return RefusalError(400, "bad_request", message)


def overloaded(message: str) -> RefusalError:
    """503, at once: the server has no room for the request now."""
    return RefusalError(503, "overloaded", message, (RETRY,))
