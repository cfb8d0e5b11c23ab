"""Shows on the terminal how far a prediction is, from the files that are there."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from components.predict.job import Job

POLL_S = 0.2


@contextlib.contextmanager
def shown(job: Job, folder: Path, console: Console) -> Iterator[None]:
    """A bar over the rows of the job while the block runs."""
    stop = threading.Event()
    columns = TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"), BarColumn(), TaskProgressColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=job.rows)

        def watch() -> None:
            while not stop.wait(POLL_S):
                progress.update(task, completed=_finished_rows(job, folder))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _finished_rows(job: Job, folder: Path) -> int:
    there = {path.name for path in folder.iterdir()}
    return sum(unit.rows for shard, unit in job.shards.items() if shard in there)
