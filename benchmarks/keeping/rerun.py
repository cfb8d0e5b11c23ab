"""A rerun with nothing new right after a run that deployed, beside bare KFP tasks; and one recipe more."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.claims import Claim, at_most
from components.artifacts import Record, read_records
from components.compress.config import spelled_out
from components.config import load

ROOT = Path(__file__).parents[2]
MODEL = "models/flights"
LIMIT_S = 10
ROUNDS = 5
NEW_RECIPE = "int8"


@dataclass(frozen=True)
class Run:
    """One run of the command line."""

    name: str
    seconds: float
    records: dict[str, Record]

    @property
    def ran(self) -> list[str]:
        """The tasks that had a process, in the order of their start."""
        own = [record for record in self.records.values() if record.run == self.name]
        return [record.step for record in sorted(own, key=lambda record: record.started_s)]


def measure(work: Path) -> tuple[list[Table], list[Claim]]:
    """Runs models/flights on all its rows, once cold, then with nothing new, then with a recipe more.

    Args:
        work: the work directory.
    """
    _run(work)  # deploys, unless an earlier measurement left what is in service
    pairs = [_rerun_and_bare(work) for _ in range(ROUNDS)]
    reruns, bare_s = [rerun for rerun, _ in pairs], min(seconds for _, seconds in pairs)
    fastest = min(reruns, key=lambda run: run.seconds)
    more = _one_recipe_more(work)
    table = Table("what", "processes of tasks", "seconds", "of bare tasks", title="models/flights, nothing new")
    table.add_row(
        "rerun, the fastest", ", ".join(fastest.ran), f"{fastest.seconds:.2f}", _times(fastest.seconds, bare_s)
    )
    slowest_s = max(run.seconds for run in reruns)
    table.add_row("rerun, the slowest", "", f"{slowest_s:.2f}", _times(slowest_s, bare_s))
    table.add_row("bare KFP tasks, the fastest", f"{len(fastest.ran)} empty ones", f"{bare_s:.2f}", "1.00")
    table.add_row(f"recipe {NEW_RECIPE} more, forced", ", ".join(more.ran), f"{more.seconds:.2f}", "")
    compressed = [step for step in more.ran if step.startswith("compress-")]
    others = len({"preprocess", "train"} & set(more.ran)) + len(set(compressed) - {f"compress-{NEW_RECIPE}"})
    return [table], [
        at_most("rerun with nothing new, the slowest, s", slowest_s, LIMIT_S),
        at_most("cached tasks that ran again for a recipe more", others, 0),
        at_most("compress tasks that ran for a recipe more", len(compressed), 1),
    ]


def _times(seconds: float, bare_s: float) -> str:
    return f"{seconds / bare_s:.2f}"


def _rerun_and_bare(work: Path) -> tuple[Run, float]:
    """They take turns: the machine's speed drifts."""
    rerun = _run(work)
    start = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("bare.py")), str(work / "bare"), str(len(rerun.ran))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return rerun, time.perf_counter() - start


def _one_recipe_more(work: Path) -> Run:
    recipes = [list(spelled_out(entry)) for entry in load(ROOT / MODEL).compress.recipes]
    assert [NEW_RECIPE] not in recipes, f"{MODEL} makes {NEW_RECIPE} already"
    return _run(work, "--force", "--set", f"compress.recipes={[*recipes, [NEW_RECIPE]]}")


def _run(work: Path, *options: str) -> Run:
    before = {path.name for path in (work / "runs").glob("*")}
    command = [sys.executable, "pipeline.py", "run", MODEL, "--work", str(work), *options]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    (name,) = {path.name for path in (work / "runs").iterdir()} - before
    return Run(name, seconds, read_records(work / "runs" / name))
