"""The process: how it starts, what it says, how it stops."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from components.errors import UserError
from components.serve.__main__ import main
from components.serve.launch import ServerProcess
from tests.serve.raw import connect, head, rest
from tests.serve.small import ROWS, Asking, deploy, predict, until

PATH = "/v1/models/small:predict"
BODY = json.dumps({"instances": ROWS}).encode()


def test_it_starts_fast_and_small(server) -> None:
    assert server.start_s < 5
    assert server.memory_bytes() < 150_000_000


def test_it_needs_no_tensorflow(low) -> None:
    code = (
        "import sys; from components.serve.__main__ import main; from components.serve.served_model import *;"
        "from components.serve.limits import Limits; from components.serve.counters import Counters;"
        "from pathlib import Path;"
        f"ServedModel(Source('m', Path({str(low.folder)!r})), Limits(), Counters(), 1e-6);"
        "heavy = {'tensorflow', 'pyarrow', 'pandas', 'scipy', 'sklearn', 'kfp', 'tf_keras', 'apache_beam'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def fails(capsys) -> Callable[..., str]:
    """Starts what must not start, and gives what it says."""

    def said(*arguments: object) -> str:
        assert main([*map(str, arguments), "--port", "0"]) == 1
        captured = capsys.readouterr()
        assert not captured.out.strip() and "Traceback" not in captured.err
        return captured.err.splitlines()[-1]

    return said


def test_wrong_starts_are_one_sentence(fails, low, tmp_path) -> None:
    assert fails() == "nothing is to be served; give --work or --folder"
    assert "is not a folder; give the work directory" in fails("--work", tmp_path / "none")
    assert "no model of" in fails("--work", tmp_path)
    assert "no version of small is in service" in fails("--work", tmp_path, "--model", "small")
    assert "write --folder NAME=PATH" in fails("--folder", tmp_path)
    assert "none is not a folder" in fails("--folder", f"small={tmp_path / 'none'}")
    assert "serving.json is missing" in fails("--folder", f"small={tmp_path}")
    assert "two models are named a" in fails("--folder", f"a={low.folder}", "--folder", f"a={low.folder}")
    assert "--model names models of a store" in fails("--folder", f"a={low.folder}", "--model", "a")


def test_a_damaged_version_is_not_started_with(fails, low, tmp_path) -> None:
    version = deploy(tmp_path, "small", low)
    (version.path / "serving" / "constants.json").write_text("{}")
    assert "constants.json is changed since version 1 was made" in fails("--work", tmp_path)


def test_a_wrong_section_is_named(fails, low, tmp_path) -> None:
    deploy(tmp_path, "small", low, log_share=2)
    assert "log_share is 2" in fails("--work", tmp_path)


def test_a_port_in_use_is_named(low) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(UserError, match=f"did not start: 127.0.0.1:{port} cannot be listened on"):
            ServerProcess(["--folder", f"a={low.folder}", "--port", port]).__enter__()


def test_it_prints_a_line_that_works(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    start("--work", tmp_path)
    said = (tmp_path / "server-0.log").read_text()
    assert "small, version 1:" in said
    (line,) = [line for line in said.splitlines() if line.startswith("curl ")]
    done = subprocess.run([*shlex.split(line), "-sS"], capture_output=True, text=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert 0 < prediction < 1
    (instance,) = json.loads(shlex.split(line)[-1])["instances"]
    assert instance["carrier"] == "AA" and instance["amount"] == 10.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_what_was_begun_and_exits_with_0(start, slow, tmp_path, number) -> None:
    deploy(tmp_path, "small", slow, cache_entries=0)
    server = start("--work", tmp_path)
    answers = []
    body = {"instances": [ROWS[0]] * 60}
    thread = threading.Thread(target=lambda: answers.append(httpx.post(server.url + PATH, json=body, timeout=60)))
    thread.start()
    until(lambda: 'evergreen_batch_rows_sum{model="small"} 60.0' in httpx.get(f"{server.url}/metrics").text)
    os.kill(server.pid, number)
    assert server.stop() == 0
    thread.join()
    assert answers[0].status_code == 200 and len(answers[0].json()["predictions"]) == 60
    assert "Traceback" not in (tmp_path / "server-0.log").read_text()


def test_a_request_that_was_half_sent_is_still_answered(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    server = start("--work", tmp_path)
    with connect(server.url) as connection:
        connection.sendall(head(PATH, len(BODY)) + BODY[:10])
        time.sleep(0.1)
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(BODY[10:])
        assert rest(connection).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0


def test_before_it_stops_it_is_not_ready_but_answers(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    server = start("--work", tmp_path, "--drain-s", 6)
    with Asking(server.url) as asking:
        until(lambda: len(asking.answers) > 20)
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 503, 3)
        assert httpx.get(f"{server.url}/v2/models/small/ready").status_code == 503
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        answer = predict(server.url, ROWS)
        assert answer.status_code == 200 and answer.headers["connection"] == "close"
        before = len(asking.answers)
        until(lambda: len(asking.answers) > before + 20, 3)
    assert not asking.failures
    assert server.stop() == 0


def test_a_second_signal_stops_at_once(start, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    server = start("--work", tmp_path, "--drain-s", 60)
    os.kill(server.pid, signal.SIGTERM)
    until(lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 503)
    started_s = time.perf_counter()
    assert server.stop() == 0
    assert time.perf_counter() - started_s < 5


STARTER = """
import os, sys, time
from components.serve.launch import ServerProcess
with ServerProcess(sys.argv[1:]) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_process_that_started_it(number, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    command = [sys.executable, "-c", STARTER, "--work", str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as starter:
        pid = int(starter.stdout.readline())
        starter.send_signal(number)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the server is still there"
        time.sleep(0.05)
