"""Shows a run's progress from the records that its steps write."""

import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape

from components.artifacts import Record, read_records
from components.report.terminal import step_line

POLL_S = 0.2


class Progress:
    """Prints a line for each step that ends, and the step that is at work, while the block runs."""

    def __init__(self, folder: Path, run: str, console: Console) -> None:
        self._folder, self._run, self._console = folder, run, console
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
        while not self._stop.wait(POLL_S):
            self._show()

    def _show(self) -> None:
        records = read_records(self._folder)
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
