"""A cold run of models/flights on all rows, a second one with nothing new, and where their time goes.

    python benchmarks/run.py [--work DIR] [--runner docker]

Claims: the cold run takes under 5 minutes and the run with nothing new under 10 seconds, on two cores. Overhead is the
run's time that no step spent on its own work, as shares of the run: `start-up` is each task's time from the start of
its process to the start of its work (interpreter, KFP, imports), `KFP and the rest` is what remains.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from components.artifacts import Record, read_records  # noqa: E402

COLD_LIMIT_S = 300
REPEAT_LIMIT_S = 10


@dataclass(frozen=True)
class Timing:
    """One run, seen from outside and from its records."""

    name: str
    seconds: float
    records: dict[str, Record]

    @property
    def busy(self) -> list[tuple[float, float, float]]:
        """Start of the process, start of the work, end of the work of each task, in seconds since 1970."""
        return [
            (record.started_s - (record.startup_s or 0.0), record.started_s, record.started_s + record.seconds)
            for record in self.records.values()
        ]

    @property
    def work_s(self) -> float:
        """Seconds in which at least one step was at work: tasks of the loop run side by side."""
        return covered([(start, end) for _, start, end in self.busy])

    @property
    def startup_s(self) -> float:
        """Seconds in which a task was starting and none was at work."""
        return covered([(begin, end) for begin, _, end in self.busy]) - self.work_s


def covered(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def timed_run(name: str, work: Path, runner: str) -> Timing:
    """Runs the pipeline once, as a user does."""
    start = time.time()
    command = [sys.executable, "pipeline.py", "run", "models/flights", "--work", str(work), "--runner", runner]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.time() - start
    newest = max((work / "runs").iterdir(), key=lambda folder: folder.name)
    return Timing(name, seconds, read_records(newest))


def table_of_parts(timings: list[Timing]) -> Table:
    """The runs' parts, in seconds and as shares."""
    table = Table("run", "seconds", "limit", "work in steps", "start-up of tasks", "KFP and the rest", "overhead")
    for timing, limit_s in zip(timings, (COLD_LIMIT_S, REPEAT_LIMIT_S), strict=True):
        rest_s = timing.seconds - timing.work_s - timing.startup_s
        parts = [f"{part:.1f} ({part / timing.seconds:.0%})" for part in (timing.work_s, timing.startup_s, rest_s)]
        overhead = f"{1 - timing.work_s / timing.seconds:.0%}"
        table.add_row(timing.name, f"{timing.seconds:.1f}", f"{limit_s}", *parts, overhead)
    return table


def table_of_steps(timing: Timing) -> Table:
    """What each task of a run took."""
    table = Table("step", "start-up s", "work s", title=timing.name)
    for step, record in sorted(timing.records.items(), key=lambda item: item[1].started_s):
        table.add_row(step, f"{record.startup_s or 0:.1f}", f"{record.seconds:.1f}")
    return table


def main() -> None:
    """Runs twice and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="a work directory that does not exist yet (default: a temporary one)")
    parser.add_argument(
        "--runner", choices=("subprocess", "docker"), default="subprocess", help="docker: in the images that are built"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary) / "work"
        cold, repeated = (timed_run(name, work, options.runner) for name in ("cold, all rows", "nothing new"))
        console = Console(width=120)
        for table in (table_of_steps(cold), table_of_steps(repeated), table_of_parts([cold, repeated])):
            console.print(table)


if __name__ == "__main__":
    main()
