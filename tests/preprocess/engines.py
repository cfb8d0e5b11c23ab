"""Starts what runs Beam's jobs outside of the test: job servers, and pools of Python workers."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 60


@contextlib.contextmanager
def job_server(folder: Path) -> Iterator[str]:
    """Beam's job server in Python, in a process of its own: speaks as those of Flink and Spark do; host:port."""
    port = _free_port()
    command = ["-m", "apache_beam.runners.portability.local_job_service_main", f"--port={port}"]
    with _process([sys.executable, *command], port, folder / "job_server.log"):
        yield f"localhost:{port}"


def stand_in_java(folder: Path) -> None:
    """A program `java` that takes the options of a job server's jar, and is Beam's job server in Python.

    It notes its process id and its options in `java.log`, a line each time that it starts.
    """
    folder.mkdir()
    program = folder / "java"
    program.write_text(
        f"""#!/bin/sh
echo "$$ $*" >> {folder}/java.log
while [ "$1" != --job-port ]; do shift; done
exec {sys.executable} -m apache_beam.runners.portability.local_job_service_main --port "$2"
"""
    )
    program.chmod(0o755)
    (folder / "server.jar").write_text("")


@contextlib.contextmanager
def prism(program: str, folder: Path) -> Iterator[str]:
    """Beam's engine in Go, with its job server; host:port."""
    port, web_port = _free_port(), _free_port()
    command = [program, f"-job_port={port}", f"-web_port={web_port}"]
    with _process(command, port, folder / "prism.log"):
        yield f"localhost:{port}"


@contextlib.contextmanager
def worker_pool(folder: Path, code: Path = ROOT) -> Iterator[str]:
    """A pool as a sidecar of an engine has it: each worker is a process with the code in `code`; host:port."""
    port = _free_port()
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    # The pool starts `python`, which must be this one.
    environment = {"PYTHONPATH": str(code), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with _process(command, port, folder / "pool.log", environment):
        yield f"localhost:{port}"


@contextlib.contextmanager
def _process(command: list[str], port: int, log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent, env=os.environ | (environment or {})
        )
        try:
            _wait(process, port, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end_s = time.monotonic() + START_S
    while True:
        assert process.poll() is None and time.monotonic() < end_s, log.read_text()[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
