"""A load client of one thread: keeps a schedule, and measures each answer from the moment its request was due.

A request that is due while every connection waits for an answer goes out late, and its wait counts (no coordinated
omission).
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

GRACE_S = 5.0
"""How long the last answers are waited for."""
SPIN_S = 0.0001
"""A wait for the next due request shorter than this is spent polling: the system wakes a process up that much later."""
READ_BYTES = 1 << 16


class Answer(NamedTuple):
    """One response."""

    status: int
    head: bytes
    """In lower case."""
    body: bytes


Check = Callable[[int, Answer], bool]
"""Number of the request in the list, and its answer → whether that is right."""


@dataclass
class Outcome:
    """What a load gave."""

    seconds: float = 0.0
    sent: int = 0
    lost: int = 0
    """Requests without an answer."""
    wrong: list[tuple[int, Answer]] = field(default_factory=list)
    """Numbers of requests and their answers that were not right, the first hundred."""
    wrong_count: int = 0
    latencies_s: list[float] = field(default_factory=list)
    """From the moment that a request was due to its whole answer."""

    @property
    def rate_per_s(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies."""
        return float(np.percentile(self.latencies_s, percent)) * 1e3


class Connection:
    """A keep-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.request = -1
        """Number of the request that waits for its answer; -1 where none does."""
        self.due_s = 0.0
        self.connect()

    def connect(self) -> None:
        """Connects, for the first time or again."""
        self.socket = socket.create_connection(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def answer(self) -> Answer | None:
        """What has been received; None where the answer is not whole yet.

        Raises:
            ConnectionError: the server closed the connection.
        """
        piece = self.socket.recv(READ_BYTES)
        if not piece:
            raise ConnectionResetError
        self._received += piece
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._received[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        if len(self._received) < end + 4 + length:
            return None
        body, self._received = self._received[end + 4 :], b""
        return Answer(int(head[9:12]), head, body)


class Load:
    """Requests against one server."""

    def __init__(self, port: int, connections: int, requests: Sequence[bytes], check: Check) -> None:
        """Connects.

        Args:
            port: of the server, on loopback.
            connections: how many requests may be on their way at once.
            requests: as they go over the wire; sent one after the other, again from the first.
            check: tells right answers.
        """
        self._requests, self._check = requests, check
        self._poll = select.epoll()
        self._free = deque(Connection(port) for _ in range(connections))
        self._by_descriptor: dict[int, Connection] = {}
        for connection in self._free:
            self._register(connection)

    def run(self, seconds: float, rate_per_s: float | None) -> Outcome:
        """Sends for `seconds`; without a rate as fast as answers come (closed loop)."""
        outcome, connections = Outcome(), len(self._free)
        start_s = now_s = time.perf_counter()
        end_s = start_s + seconds
        while now_s < end_s or (len(self._free) < connections and now_s < end_s + GRACE_S):
            due_s = start_s + outcome.sent / rate_per_s if rate_per_s else now_s
            while self._free and due_s <= now_s < end_s:
                self._send(outcome, due_s)
                due_s = start_s + outcome.sent / rate_per_s if rate_per_s else now_s
            self._receive(outcome, self._wait_s(due_s - now_s))
            now_s = time.perf_counter()
        outcome.seconds = now_s - start_s
        outcome.lost += connections - len(self._free)
        return outcome

    def close(self) -> None:
        """Closes every connection."""
        for connection in self._by_descriptor.values():
            connection.socket.close()
        self._poll.close()

    def _wait_s(self, until_due_s: float) -> float:
        if not self._free:
            return 0.1
        return 0.0 if until_due_s < SPIN_S else until_due_s - SPIN_S

    def _send(self, outcome: Outcome, due_s: float) -> None:
        connection = self._free.popleft()
        connection.request, connection.due_s = outcome.sent % len(self._requests), due_s
        outcome.sent += 1
        try:
            connection.socket.sendall(self._requests[connection.request])
        except ConnectionError:
            self._lose(connection, outcome)

    def _receive(self, outcome: Outcome, wait_s: float) -> None:
        if wait_s:
            select.select([self._poll], [], [], wait_s)  # epoll's own time-outs are whole milliseconds
        for descriptor, _ in self._poll.poll(0):
            connection = self._by_descriptor[descriptor]
            try:
                answer = connection.answer()
            except ConnectionError:
                self._lose(connection, outcome)
                continue
            if answer is not None:
                self._record(connection, answer, outcome)

    def _record(self, connection: Connection, answer: Answer, outcome: Outcome) -> None:
        outcome.latencies_s.append(time.perf_counter() - connection.due_s)
        if not self._check(connection.request, answer):
            outcome.wrong_count += 1
            if len(outcome.wrong) < 100:
                outcome.wrong.append((connection.request, answer))
        connection.request = -1
        if b"connection: close" in answer.head:
            self._reconnect(connection)
        self._free.append(connection)

    def _lose(self, connection: Connection, outcome: Outcome) -> None:
        """The server closed the connection: the request on it is lost, if there is one."""
        if connection.request >= 0:
            outcome.lost += 1
            connection.request = -1
            self._free.append(connection)
        self._reconnect(connection)

    def _reconnect(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._by_descriptor[connection.socket.fileno()]
        connection.socket.close()
        connection.connect()
        self._register(connection)

    def _register(self, connection: Connection) -> None:
        self._by_descriptor[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)


def is_ok(_request: int, answer: Answer) -> bool:
    """The check of those who only want status 200."""
    return answer.status == 200
