"""Shows a run's progress from the records that its steps write."""

import contextlib
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape

from components.artifacts import Record, read_records
from components.report.terminal import step_line
from components.storage.address import Address, is_local

POLL_S = 0.2
BUCKET_POLL_S = 2.0
"""A look at a bucket is some requests."""


class Progress:
    """Prints a line for each step that ends, and the step that is at work, while the block runs."""

    def __init__(self, folder: Address, run: str, console: Console) -> None:
        self._folder, self._run, self._console = folder, run, console
        self._poll_s = POLL_S if is_local(folder) else BUCKET_POLL_S
        self._shown: set[str] = set()
        self._stop = threading.Event()
        self._status = console.status("starting")
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._status.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._status.stop()
        self._show()

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self._show()

    def _show(self) -> None:
        with contextlib.suppress(OSError):  # a bucket that cannot be reached; the next look may find it again
            self._show_records(read_records(self._folder))

    def _show_records(self, records: dict[str, Record]) -> None:
        for key, record in sorted(records.items(), key=lambda item: item[1].started_s):
            if record.status != "running" and key not in self._shown:
                self._shown.add(key)
                self._console.print(self._line(key, record), highlight=False)
        working = [
            f"{key} {time.time() - record.started_s:.0f} s"
            for key, record in records.items()
            if record.status == "running"
        ]
        self._status.update(", ".join(working) or "between two steps")

    def _line(self, key: str, record: Record) -> str:
        mark = "[green]✓[/]" if record.status == "done" else "[red]✗[/]"
        took = f"{record.seconds:6.1f} s" if record.run == self._run else "  cached"
        return f"{mark} {key:<18} {took}  {escape(step_line(record))}"
