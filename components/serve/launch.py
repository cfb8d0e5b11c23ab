"""The server in a process of its own, for those who try it: rehearse, tests, benchmarks.

It ends with the process that started it, however that ends: its standard input is a pipe that nobody else holds.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from components.errors import UserError

START_S = 60.0
STOP_S = 30.0
LOOK_S = 0.005
READY = re.compile(rb"^Serving on (http://\S+)", re.MULTILINE)
ROOT = Path(__file__).parents[2]


class ServerProcess:
    """A server on a free port of this machine, from `with` to the end of its block.

    Attributes:
        url: `http://127.0.0.1:<port>`.
        pid: of the process.
        start_s: seconds from the start of the process until it was ready.
    """

    def __init__(self, arguments: Sequence[str], log: Path | None = None, patience_s: float = START_S) -> None:
        """Starts nothing yet.

        Args:
            arguments: of `python -m components.serve`, without `--host` and `--port`.
            log: file that takes what the server says; None: it is kept until the end and thrown away.
            patience_s: how long to wait for it.
        """
        self._arguments = [str(argument) for argument in arguments]
        self._log = log
        self._patience_s = patience_s
        self._files = contextlib.ExitStack()
        self.url = ""
        self.pid = 0
        self.start_s = 0.0

    def __enter__(self) -> "ServerProcess":
        """Waits until the server is ready.

        Raises:
            UserError: it did not come up; in its own last words.
        """
        output = self._files.enter_context(self._output())
        written = output.seek(0, os.SEEK_END)  # behind what others left in the log
        started_s = time.perf_counter()
        # The defaults come first, so that the arguments may say otherwise.
        own = ["--port", "0", "--drain-s", "0", "--until-stdin-ends"]
        command = [sys.executable, "-m", "components.serve", *own, *self._arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), _python_path()]))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        self.pid = self._process.pid
        try:
            self.url = self._wait_until_ready(output, written, started_s + self._patience_s)
        except BaseException:
            self._end()
            raise
        self.start_s = time.perf_counter() - started_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the server gracefully, and by force when it does not."""
        self._end()

    def memory_bytes(self) -> int:
        """The server's resident memory.

        Raises:
            UserError: the server has ended, or the system does not tell (`/proc` is Linux's).
        """
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            raise UserError(f"the memory of process {self.pid} is not known; is it running, and on Linux?") from None
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        """Stops the server; what it has begun to answer it ends.

        Returns:
            its exit code: 0, or negative where it had to be killed.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _output(self) -> IO[bytes]:
        if self._log is None:
            return tempfile.TemporaryFile()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        return self._log.open("a+b")

    def _wait_until_ready(self, output: IO[bytes], start: int, until_s: float) -> str:
        while True:
            ended = self._process.poll() is not None
            said = os.pread(output.fileno(), 1 << 20, start)
            if ready := READY.search(said):
                return ready[1].decode()
            if ended:
                raise UserError(f"the server did not start: {_last_line(said)}")
            if time.perf_counter() > until_s:
                raise UserError(f"the server was not ready after {self._patience_s:g} s: {_last_line(said)}")
            time.sleep(LOOK_S)

    def _end(self) -> None:
        self.stop()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._files.close()


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _python_path() -> str:
    return os.environ.get("PYTHONPATH", "")
