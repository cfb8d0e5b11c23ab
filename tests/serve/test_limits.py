"""What one client asks too much of is refused quickly, and others do not notice."""

import contextlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from components.serve.launch import ServerProcess
from tests.serve.raw import connect, head, one_answer, rest, until_closed
from tests.serve.small import ROWS, deploy, metrics, predict, until

PATH = "/v1/models/small:predict"
BODY = json.dumps({"instances": ROWS}).encode()


def test_a_body_that_is_too_large(client) -> None:
    filler = {"instances": [{"carrier": "x" * 150_000}]}
    assert client.post(PATH, json=filler).status_code == 200
    filler = {"instances": [{"carrier": "x" * 250_000}]}
    for content in (json.dumps(filler).encode(), iter([json.dumps(filler).encode()])):  # with its length, and in chunks
        answer = client.post(PATH, content=content)
        assert answer.status_code == 413
        assert "larger than 200000 bytes" in answer.json()["error"]
    assert client.post(PATH, content=BODY).status_code == 200


def test_a_body_in_small_pieces(server, low) -> None:
    with connect(server.url) as connection:
        connection.sendall(head(PATH, len(BODY), "connection: close\r\n"))
        for byte in BODY:
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"] == pytest.approx(low.predict(ROWS), abs=1e-6)


@pytest.fixture(scope="module")
def impatient(low, tmp_path_factory):
    work = tmp_path_factory.mktemp("impatient")
    deploy(work, "small", low)
    with ServerProcess(["--work", work, "--receive-timeout-s", 1, "--max-connections", 12]) as process:
        yield process


UNFINISHED = (
    b"",
    b"POS",
    b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow",
    head(PATH, 100),
    head(PATH, 100) + b'{"instances',
    b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /hea",
)


def test_a_client_that_does_not_finish_is_cut_off(impatient) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(impatient.url)) for _ in UNFINISHED]
        for connection, sent in zip(connections, UNFINISHED):
            connection.sendall(sent)
        assert predict(impatient.url, ROWS).status_code == 200
        for connection in connections:
            _, answer = until_closed(connection)
            assert b"HTTP/1.1 408" in answer and b"did not come within 1 s" in answer


def test_an_idle_connection_between_requests_is_not_cut_off(impatient) -> None:
    with httpx.Client(base_url=impatient.url) as client, connect(impatient.url) as connection:
        connection.sendall(head(PATH, len(BODY)) + BODY)
        first = one_answer(connection)
        assert client.post(PATH, content=BODY).status_code == 200
        time.sleep(2.5)
        connection.sendall(head(PATH, len(BODY)) + BODY)
        assert one_answer(connection).splitlines()[-1] == first.splitlines()[-1] != b""


def test_connections_beyond_the_limit_get_no_predictions_but_health(impatient) -> None:
    held = [connect(impatient.url) for _ in range(12)]
    try:
        for connection in held:
            connection.sendall(head(PATH, len(BODY)) + BODY)
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
        answer = predict(impatient.url, ROWS)
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
        assert httpx.get(f"{impatient.url}/healthz").status_code == 200
        assert metrics(impatient.url)['evergreen_requests_refused_total{kind="connections",model=""}'] == 1
    finally:
        for connection in held:
            connection.close()
    until(lambda: predict(impatient.url, ROWS).status_code == 200)


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 1_000_000,
        b"GET /" + b"x" * 1_000_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"no HTTP at all\r\n\r\n",
        head(PATH, 5, "transfer-encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_closed(impatient, flood) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(flood)
        took_s, answer = until_closed(connection)
    assert took_s < 0.9
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer
    assert predict(impatient.url, ROWS).status_code == 200


def test_endless_trailers_are_cut_off(impatient) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(
            b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        )
        with contextlib.suppress(OSError):
            for _ in range(500):
                connection.sendall(b"x: y\r\n" * 10_000)
        took_s, _ = until_closed(connection)
    assert took_s < 0.9


def test_a_client_may_ask_before_it_sends_the_body(impatient) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(head(PATH, len(BODY), "expect: 100-continue\r\n"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert one_answer(connection).startswith(b"HTTP/1.1 200")


@pytest.fixture(scope="module")
def roomy(low, tmp_path_factory):
    """With the limits as they are."""
    work = tmp_path_factory.mktemp("roomy")
    deploy(work, "small", low)
    with ServerProcess(["--work", work]) as process:
        yield process


@pytest.mark.parametrize("piece", [b"{}", b"null", b"[]", b"0", b'""', b"[[]]", b'{"amount":[]}'])
@pytest.mark.parametrize("form", [b'{"instances":[%b]}', b'{"inputs":{"amount":[%b]}}', b'{"inputs":[%b]}'])
def test_small_bodies_that_are_large_in_memory(roomy, form, piece) -> None:
    body = form % b",".join([piece] * (8_000_000 // (len(piece) + 1)))
    for path in (PATH, "/v2/models/small/infer"):
        started_s = time.perf_counter()
        assert httpx.post(roomy.url + path, content=body, timeout=60).status_code == 400
        assert time.perf_counter() - started_s < 2
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{roomy.pid}/status").read_text())
    assert int(peak) < 300_000


def test_a_client_that_leaves_is_forgotten(impatient) -> None:
    for _ in range(20):
        with connect(impatient.url) as connection:
            connection.sendall(head(PATH, len(BODY)) + BODY[:20])
    until(lambda: predict(impatient.url, ROWS).status_code == 200)
    refused = metrics(impatient.url)
    assert refused['evergreen_requests_refused_total{kind="disconnected",model="small"}'] > 0
    assert not [name for name in refused if "internal" in name]


@pytest.fixture
def heavy(start, slow, tmp_path):
    deploy(tmp_path, "small", slow, cache_entries=0)
    return start("--work", tmp_path, "--max-queue", 8, "--timeout-s", 20, "--max-connections", 500)


def test_overload_is_answered_at_once(heavy) -> None:
    """40 large requests of a slow model: those beyond the queue are refused while the first are still predicted."""
    body = json.dumps({"instances": [ROWS[0]] * 60}).encode()
    refused_s, statuses = [], []

    def ask(_: int) -> None:
        with httpx.Client(base_url=heavy.url, timeout=30) as client:
            client.get("/healthz")
            started_s = time.perf_counter()
            answer = client.post(PATH, content=body)
            statuses.append(answer.status_code)
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "1"
                assert "waiting for this model" in answer.json()["error"]
                refused_s.append(time.perf_counter() - started_s)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(ask, range(40)))
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 9, "the one in work and those in the queue are answered"
    assert sorted(refused_s)[len(refused_s) // 2] < 0.5
    assert metrics(heavy.url)['evergreen_requests_refused_total{kind="overloaded",model="small"}'] == len(refused_s)


def test_health_is_told_while_the_model_works(heavy) -> None:
    large = json.dumps({"instances": [ROWS[0]] * 400}).encode()
    thread = threading.Thread(target=lambda: httpx.post(heavy.url + PATH, content=large, timeout=60))
    thread.start()
    time.sleep(0.1)
    answers = 0
    with httpx.Client(base_url=heavy.url) as client:
        while thread.is_alive():
            started_s = time.perf_counter()
            assert client.get("/healthz").status_code == 200
            assert time.perf_counter() - started_s < 0.5
            answers += 1
    thread.join()
    assert answers > 5


def test_a_prediction_that_takes_too_long_is_given_up(start, slow, tmp_path) -> None:
    deploy(tmp_path, "small", slow, cache_entries=0)
    server = start("--work", tmp_path, "--timeout-s", 0.2)
    answer = predict(server.url, [ROWS[0]] * 4000)  # a fast machine predicts 400 in time
    assert answer.status_code == 504
    assert "no prediction within 0.2 s" in answer.json()["error"]
    until(lambda: predict(server.url, ROWS[:1]).status_code == 200, 60)
