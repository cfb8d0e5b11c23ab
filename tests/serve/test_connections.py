"""What HTTP's finer points and clients that do not play along do to one connection; the application is a stand-in."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop

from components.serve import server
from components.serve.answers import Answer, Headers, json_answer
from components.serve.app import App
from components.serve.counters import Counters
from components.serve.limits import Limits
from tests.serve.raw import connect, head, one_answer, rest, until_closed
from tests.serve.small import until

LARGE = Answer(200, [], b"x" * 1_000_000)
UPGRADE = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
BODY = b"abcde"
ECHO = b'{"got":"abcde"}'


async def _echo(body: bytes, headers: Headers) -> Answer:
    return json_answer({"got": body.decode()})


async def _slow(body: bytes, headers: Headers) -> Answer:
    await asyncio.sleep(1.2)
    return await _echo(body, headers)


class Running:
    """A server in a thread."""

    def __init__(self, limits: Limits) -> None:
        self.app = App(limits)
        self.app.gets = {"/large": lambda: LARGE, "/small": lambda: json_answer({})}
        self.app.posts = {"/echo": (_echo, Counters()), "/slow": (_slow, Counters())}
        self._listener = server.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready, self._limits = threading.Event(), limits
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        serving = server.serve_until_stopped(self.app, self._listener, self._limits, self._stopping, self._ready.set)
        self._loop.run_until_complete(serving)
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def running(monkeypatch) -> Iterator[Running]:
    monkeypatch.setattr(server, "UNREAD_S", 0.3)
    monkeypatch.setattr(server, "DISCARDED_BYTES", 1_000_000)
    started = Running(Limits(max_body_bytes=1000, max_connections=4, receive_timeout_s=0.4, timeout_s=1))
    yield started
    started.stop()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def _error(answer: bytes) -> str:
    message = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert isinstance(message, str)
    return message


def _is_answered(url: str) -> bool:
    with connect(url) as connection:
        connection.sendall(head("/echo", len(BODY)) + BODY)
        return one_answer(connection).startswith(b"HTTP/1.1 200")


def test_clients_that_do_not_read_do_not_keep_their_connections(running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(running.url)).sendall(_get("/large") * 20)
        assert not _is_answered(running.url)
        until(lambda: _is_answered(running.url), 5)
    assert running.app.refused["unread"] == 4


def test_a_client_that_reads_slowly_gets_everything(running) -> None:
    """Twice as long as one may leave answers unread."""
    with connect(running.url) as connection:
        connection.sendall(_get("/large") * 20)
        received, started_s = 0, time.perf_counter()
        while received < 20_000_000:
            received += len(connection.recv(400_000))
            time.sleep(0.03)
        assert time.perf_counter() - started_s > 0.6
    assert running.app.refused["unread"] == 0


def test_what_comes_behind_a_request_does_not_end_it(running) -> None:
    """The second begins while the first is answered: its time begins when that is done."""
    with connect(running.url) as connection:
        connection.sendall(head("/slow", len(BODY)) + BODY + head("/slow", len(BODY)) + BODY[:3])
        assert one_answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(BODY[3:])
        assert one_answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(head("/slow", len(BODY)) + BODY + head("/slow", len(BODY)) + BODY[:3])
        took_s, received = until_closed(connection)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"408"]
    assert 1.5 < took_s < 3


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize("in_two", [False, True])
def test_an_offer_to_upgrade_is_not_taken_up(running, protocol, in_two) -> None:
    with connect(running.url) as connection:
        for more in (UPGRADE.replace("h2c", protocol), "", UPGRADE):
            connection.sendall(head("/echo", len(BODY), more))
            if in_two:
                time.sleep(0.05)
            connection.sendall(BODY)
            assert one_answer(connection).endswith(ECHO)
        connection.sendall(_get("/small").replace(b"\r\n\r\n", b"\r\n" + UPGRADE.encode() + b"\r\n") * 2)
        received = b""
        while received.count(b"{}") < 2:
            received += connection.recv(10_000)


def test_an_offer_to_upgrade_with_a_body_in_chunks(running) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    lines = f"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{UPGRADE}\r\n".encode()
    with connect(running.url) as connection:
        connection.sendall((lines + chunks) * 2)
        received = b""
        while received.count(ECHO) < 2:
            received += connection.recv(10_000)


@pytest.mark.parametrize(
    "sent", [b"no HTTP at all\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n"]
)
def test_what_is_no_http_is_refused_as_everything_else(running, sent) -> None:
    with connect(running.url) as connection:
        connection.sendall(_get("/small"))
        one_answer(connection)
        connection.sendall(sent)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400") and b"content-type: application/json" in answer
    assert "not valid HTTP/1.1" in _error(answer)
    assert running.app.refused["http"] == 1


@pytest.mark.parametrize(("path", "status"), [("/echo", b"413"), ("/nowhere", b"404")])
def test_a_client_that_asks_first_is_not_asked_for_a_body_that_is_not_wanted(running, path, status) -> None:
    with connect(running.url) as connection:
        connection.sendall(head(path, 2000, "expect: 100-continue\r\n"))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in answer and _error(answer)


@pytest.mark.parametrize("then", ["too much", "nothing"])
def test_nobody_is_refused_twice(running, then) -> None:
    with connect(running.url) as connection:
        connection.sendall(head("/nowhere", 100_000_000))
        assert one_answer(connection).startswith(b"HTTP/1.1 404")
        if then == "too much":
            with contextlib.suppress(OSError):
                for _ in range(100):
                    connection.sendall(b"x" * 100_000)
        _, received = until_closed(connection)
    assert received == b""
    assert running.app.refused == {"not_found": 1}
