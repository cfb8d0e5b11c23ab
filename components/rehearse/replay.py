"""Replays HTTP requests over keep-alive connections, each of which sends its next request when it has its answer.

One thread waits for all connections, on bare sockets with messages made beforehand, so that a request costs the client
20 to 35 µs: what is measured is the server.
"""

import contextlib
import itertools
import re
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 30.0
"""A server that says nothing for so long hangs."""
RECEIVE_BYTES = 1 << 16
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What the server answered to one request."""

    status: int
    body: bytes
    seconds: float
    """From the first byte sent to the last one received."""


@dataclass(frozen=True)
class Replay:
    """The answers to all requests."""

    answers: list[Answer | None]
    """In the order of the requests; None where none came."""
    seconds: float
    broken: str | None = None
    """What ended the replay before its end, in half a sentence."""


class _BrokenError(Exception):
    """A connection ended without an answer."""


def post(url: str, body: bytes) -> bytes:
    """The message of a POST request with a JSON body.

    Args:
        url: `http://host:port/path`.
        body: JSON.
    """
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def replay(url: str, messages: Sequence[bytes], connections: int) -> Replay:
    """Sends each message once.

    Args:
        url: names the host and the port.
        messages: as `post` makes them.
        connections: open at once.
    """
    parts = urlsplit(url)
    address = parts.hostname or "", parts.port or 80
    answers: list[Answer | None] = [None] * len(messages)
    started_s = time.perf_counter()
    broken = None
    try:
        _exchange(address, messages, connections, answers)
    except (_BrokenError, OSError) as error:
        broken = str(error)
    return Replay(answers, time.perf_counter() - started_s, broken)


def _exchange(
    address: tuple[str, int], messages: Sequence[bytes], connections: int, answers: list[Answer | None]
) -> None:
    """Fills `answers`, so that those that came before a failure are known."""
    waiting = iter(range(len(messages)))
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for index in itertools.islice(waiting, connections):
            connection = stack.enter_context(contextlib.closing(_Connection(address)))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(index, messages[index])
        while selector.get_map():
            ready = selector.select(TIMEOUT_S)
            if not ready:
                raise _BrokenError(f"it answered nothing for {TIMEOUT_S:.0f} s")
            for key, _ in ready:
                connection = key.data
                answer = connection.receive()
                if answer is None:
                    continue
                answers[connection.index] = answer
                following = next(waiting, None)
                if following is None:
                    selector.unregister(connection.socket)
                else:
                    connection.send(following, messages[following])


class _Connection:
    """One connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index = 0
        """Of the request under way."""
        self._received = b""
        self._sent_s = 0.0

    def close(self) -> None:
        self.socket.close()

    def send(self, index: int, message: bytes) -> None:
        self.index, self._received = index, b""
        self._sent_s = time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> Answer | None:
        """Reads what there is; the answer once it is whole."""
        piece = self.socket.recv(RECEIVE_BYTES)
        if not piece:
            raise _BrokenError("it closed a connection before it answered")
        self._received += piece
        end = self._received.find(HEAD_END)
        if end < 0:
            return None
        start = end + len(HEAD_END)
        length = CONTENT_LENGTH.search(self._received, 0, end)
        if length is None:
            raise _BrokenError("it answered without a Content-Length")
        if len(self._received) < start + int(length[1]):
            return None
        seconds = time.perf_counter() - self._sent_s
        return Answer(int(self._received[9:12]), self._received[start:], seconds)
