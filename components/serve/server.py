"""The HTTP server: uvicorn's, with the limits that it lacks, and a stop that loses no request."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from components.serve.answers import encode
from components.serve.app import EXPECTS, App
from components.serve.limits import Limits

MAX_HEADER_BYTES = 320 * 1024
"""Of one request, with what came before them in one read of 256 KiB."""
MAX_HEADERS = 128
"""Of one request, with the trailers behind a body in chunks."""
DISCARDED_BYTES = 64 * 1024 * 1024
"""What is read of a body that was refused already, so that its sender gets to read why."""
KEEP_ALIVE_S = 75
"""Longer than proxies keep idle connections: so it is they who close them, and not in the moment of a request."""
UNREAD_S = 30
"""How long a client may leave so much of its answers unread that no more can be written, or the last one."""


class Protocol(HttpToolsProtocol):
    """One connection. uvicorn bounds neither headers nor the time in which they and the body must come."""

    application: App
    limits: Limits

    def connection_made(self, transport: Any) -> None:
        """Takes a connection; beyond the limit it is told so."""
        super().connection_made(transport)
        self.headers = []
        self._begin()
        self._unread_s: float | None = None
        if len(self.connections) > self.limits.max_connections:
            self.app = self.application.refuse

    def _begin(self) -> None:
        """It is the client's turn to send a request."""
        self._receiving, self._since_s = True, self.loop.time()
        self._received, self._most = 0, MAX_HEADER_BYTES

    def data_received(self, data: bytes) -> None:
        """Takes bytes."""
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._end(400, "http", f"the request is not valid HTTP/1.1 ({error}); send plain HTTP/1.1, no TLS")
            return
        self._received += len(data)
        if self._received > self._most or len(self.headers) > MAX_HEADERS:
            self._end(431, "headers", "the headers or the body are too large; send less")

    def _parse(self, data: bytes | memoryview) -> None:
        """Reads bytes; a request to speak another protocol from now on is read as if it did not ask for that.

        The parser takes what follows such a request's headers for the other protocol, so it gets them again.

        Raises:
            httptools.HttpParserError: it is no HTTP.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                self.parser.feed_data(self._head_without_upgrade())

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("CONNECT is for proxies")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _should_upgrade(self) -> bool:
        """Whether the parser's request to upgrade is left alone by uvicorn: `_parse` has it read again."""
        return True

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self._begin()

    def on_message_complete(self) -> None:
        """The last bytes of a request."""
        self._receiving = False
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """All headers: the body may follow."""
        self._most = self.limits.max_body_bytes + DISCARDED_BYTES
        if self.expect_100_continue:
            self.scope["extensions"] = {EXPECTS: {}}
        super().on_headers_complete()

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        self._unread_s = None
        super().resume_writing()

    def sweep(self, now_s: float) -> None:
        """Ends a connection whose client takes too long: called about once a second, which costs requests nothing."""
        if self.transport.is_closing() or self.flow.write_paused:
            self._unread_s = self._unread_s or now_s
            if now_s - self._unread_s > UNREAD_S:
                self.application.refused["unread"] += 1
                self.transport.abort()
        elif not self._is_waiting():
            self._since_s = now_s
        elif now_s - self._since_s > self.limits.receive_timeout_s:
            self._end(
                408, "slow", f"the request did not come within {self.limits.receive_timeout_s:g} s; send it faster"
            )

    def _is_waiting(self) -> bool:
        """Whether it is the client's turn: not between requests, nor while one that came whole is answered."""
        whole = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        return self._receiving and not whole and not self.pipeline

    def _may_refuse(self) -> bool:
        """Whether there is a request to refuse: not twice the same, nor in the midst of the answer to another."""
        answered = self.cycle is not None and self.cycle.scope is self.scope and self.cycle.response_started
        return not answered and not self.flow.write_paused

    def _end(self, status: int, kind: str, message: str) -> None:
        """Refuses a request that the application has not answered, and closes."""
        if not self.transport.is_closing():
            if self._may_refuse():
                body = encode({"error": message})
                head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\nconnection: close\r\n"
                self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                self.application.refused[kind] += 1
            self.transport.close()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


class Server(uvicorn.Server):
    """Uvicorn's server without its signal handlers: they end the process by the signal, after a clean stop too."""

    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and tells so."""
        await super().startup(sockets)
        self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to `serve_until_stopped`."""
        yield


async def serve_until_stopped(
    app: App, listener: socket.socket, limits: Limits, stopping: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    """Answers requests until `stopping` is set; then those that were begun, and no more.

    Args:
        app: the application.
        listener: bound.
        limits: of the process.
        stopping: set when it is time to stop.
        on_ready: called when connections are taken.
    """
    bound = type("BoundProtocol", (Protocol,), {"application": app, "limits": limits})
    config = uvicorn.Config(
        app,
        http=bound,
        loop="none",  # it runs already
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(limits.timeout_s + limits.receive_timeout_s),
        backlog=2048,
    )
    server = Server(config)
    server.on_ready = on_ready
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    sweeping = asyncio.ensure_future(_sweep(server, limits))
    await asyncio.wait([asyncio.ensure_future(stopping.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    sweeping.cancel()


async def _sweep(server: Server, limits: Limits) -> None:
    every_s = min(1.0, limits.receive_timeout_s / 4)
    while True:
        await asyncio.sleep(every_s)
        now_s = asyncio.get_running_loop().time()
        for connection in list(server.server_state.connections):
            connection.sweep(now_s)  # type: ignore[union-attr]


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address.

    Raises:
        OSError: the address is taken or not this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def handle_signals(on_signal: Any) -> None:
    """Calls `on_signal(signal)` in the event loop for SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
