"""Starts servers on loopback, each pinned to one core, and loads them."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.serving.bodies import PATH
from benchmarks.serving.client import Load, is_ok

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90
CONNECTIONS = 16
SERVER_CORE, *_, LOAD_CORE = sorted(os.sched_getaffinity(0)) * 2
"""Servers on one core, the load on another; the same where there is only one."""


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    name: str
    port: int
    pid: int
    start_s: float
    """From the start of its process to its first answer."""

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used since it started."""
        times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pins this process, and with it the processes that it starts in this block, to a core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def peer(name: str, module: str, *arguments: str) -> Iterator[Running]:
    """Runs a module of this package as a server of its own.

    Args:
        name: what the tables call it.
        module: its name below `benchmarks.serving`; it takes `--port`.
        arguments: what else it takes.

    Raises:
        RuntimeError: it does not come up.
    """
    port = free_port()
    command = [sys.executable, "-m", f"benchmarks.serving.{module}", *arguments, "--port", str(port)]
    start_s = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        with pinned(SERVER_CORE):
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            _wait(process, port, log)
            yield Running(name, port, process.pid, time.perf_counter() - start_s)
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def ours(name: str, *arguments: str) -> Iterator[Running]:
    """Runs the project's server.

    Args:
        name: what the tables call it.
        arguments: of `python -m components.serve`.
    """
    from components.serve.launch import ServerProcess

    with contextlib.ExitStack() as stack:
        with pinned(SERVER_CORE):
            process = stack.enter_context(ServerProcess(arguments, None))
        yield Running(name, int(process.url.rpartition(":")[2]), process.pid, process.start_s)


def free_port() -> int:
    """A port of loopback that nobody listens to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def _wait(process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    end_s = time.perf_counter() + START_TIMEOUT_S
    while time.perf_counter() < end_s and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).close()
            return
        time.sleep(0.02)
    log.seek(0)
    raise RuntimeError(f"{process.args!r} did not come up: {log.read().decode(errors='replace')[-2000:]}")


def ask(server: Running, body: bytes) -> bytes:
    """One request.

    Raises:
        RuntimeError: it was answered with an error.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{PATH}", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answered: bytes = answer.read()
            return answered
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{server.name} answered {error.code}: {error.read()[:500]!r}") from None


def cache_counts(server: Running) -> str:
    """The lines of the server's metrics that tell of its cache."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return ", ".join(line for line in lines if "cache" in line and not line.startswith("#"))


def has_wrk() -> bool:
    """Whether the load generator is installed."""
    return shutil.which("wrk") is not None


def requests_per_s(server: Running, bodies: Path, seconds: int) -> float:
    """Answers per second in a closed loop of CONNECTIONS connections, by `wrk` or, without it, by our own client.

    Args:
        server: under load.
        bodies: file with one body a line.
        seconds: length of the load.

    Raises:
        RuntimeError: an answer had another status than 200.
    """
    if not has_wrk():
        return _own_closed_loop(server, bodies, seconds)
    script = str(Path(__file__).with_name("wrk.lua"))
    command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", "--script", script]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}{PATH}", "--", str(bodies)],
        check=True, capture_output=True, text=True, timeout=seconds + 60,
    )  # fmt: skip
    summary: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if summary["failed"]:
        raise RuntimeError(f"{server.name} failed {summary['failed']} of {summary['requests']} requests")
    return summary["requests"] / summary["duration_us"] * 1e6


def _own_closed_loop(server: Running, bodies: Path, seconds: int) -> float:
    from benchmarks.serving.bodies import http_request

    load = Load(server.port, CONNECTIONS, [http_request(body) for body in bodies.read_bytes().splitlines()], is_ok)
    outcome = load.run(seconds, None)
    load.close()
    if outcome.wrong_count or outcome.lost:
        raise RuntimeError(f"{server.name} failed {outcome.wrong_count + outcome.lost} of {outcome.sent} requests")
    return outcome.rate_per_s


def latencies_s(server: Running, requests: Sequence[bytes], rate_per_s: float, seconds: float) -> list[float]:
    """Latencies at a fixed rate, each from the moment that its request was due.

    Raises:
        RuntimeError: an answer had another status than 200, or did not come.
    """
    load = Load(server.port, CONNECTIONS, requests, is_ok)
    outcome = load.run(seconds, rate_per_s)
    load.close()
    if outcome.wrong_count or outcome.lost:
        raise RuntimeError(f"{server.name} failed {outcome.wrong_count + outcome.lost} of {outcome.sent} requests")
    return outcome.latencies_s
