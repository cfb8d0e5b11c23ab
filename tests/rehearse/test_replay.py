"""The client: every request answered once, timed, and whatever a server may do wrong is told, not raised."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from components.rehearse import replay as replay_module
from components.rehearse.replay import post, replay


@contextlib.contextmanager
def serving(answer: Callable[[bytes], bytes], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client gave up
                self.wfile.write(body)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/models/m:predict"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def saying(*pieces: bytes) -> Iterator[str]:
    """A server that reads once, says these pieces, one after the other, and closes."""

    def talk() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize("connections", [1, 5, 64])
def test_each_request_gets_its_own_answer(connections):
    with serving(lambda body: body * 3) as url:
        bodies = [f"{index}".encode() * (index * 40) for index in range(50)]
        replayed = replay(url, [post(url, body) for body in bodies], connections)
    assert replayed.broken is None
    assert [answer.body for answer in replayed.answers] == [body * 3 for body in bodies]
    assert {answer.status for answer in replayed.answers} == {200}


def test_times_are_those_of_the_server():
    with serving(lambda body: time.sleep(0.05) or b"") as url:
        replayed = replay(url, [post(url, b"{}")] * 6, connections=3)
    assert all(0.05 <= answer.seconds < 0.3 for answer in replayed.answers)
    assert 0.1 <= replayed.seconds < 0.5


def test_other_statuses_are_answers_too():
    with serving(lambda body: b'{"error": "no"}', status=503) as url:
        (answer,) = replay(url, [post(url, b"{}")], 1).answers
    assert (answer.status, answer.body) == (503, b'{"error": "no"}')


def test_an_answer_may_come_in_pieces():
    with saying(b"HTTP/1.1 200 OK\r\nCont", b"ent-Length: 5\r\n\r", b"\nab", b"cde") as url:
        (answer,) = replay(url, [post(url, b"{}")], 1).answers
    assert answer.body == b"abcde"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((), "it closed a connection before it answered"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",), "it closed a connection before it answered"),
        ((b"HTTP/1.1 200 OK\r\n\r\n{}",), "it answered without a Content-Length"),
    ],
)
def test_a_server_that_breaks_off_is_told(said, why):
    with saying(*said) as url:
        replayed = replay(url, [post(url, b"{}")] * 2, 1)
    assert (replayed.broken, replayed.answers) == (why, [None, None])


def test_answers_before_the_end_are_kept():
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        replayed = replay(url, [post(url, b"{}")] * 3, 1)
    assert [answer and answer.body for answer in replayed.answers] == [b"{}", None, None]
    assert replayed.broken


def test_a_server_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(replay_module, "TIMEOUT_S", 0.05)
    with serving(lambda body: time.sleep(0.5) or b"") as url:
        replayed = replay(url, [post(url, b"{}")], 1)
    assert replayed.broken == "it answered nothing for 0 s"


def test_no_server_at_all():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert "refused" in replay(url, [post(url, b"{}")], 1).broken
