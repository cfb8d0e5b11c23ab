"""The end of a run in the terminal: what each step did, the decision, the key figures and where things lie."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.artifacts import Record
from components.report import format as fmt
from components.report.decision import Decision, decide
from components.report.figures import Figure, key_figures
from components.report.steps import CACHED, FAILED, RAN, SKIPPED, STOPPED, Step, step_line, steps

__all__ = ["print_summary", "step_line"]

OUTCOME_STYLES = {RAN: "green", CACHED: "cyan", SKIPPED: "dim", FAILED: "bold red", STOPPED: "bold red"}
DECISION_STYLES = {"deployed": "bold green", "kept": "bold green", "refused": "bold yellow", "failed": "bold red"}


def print_summary(
    records: Mapping[str, Record], console: Console, name: str, run: str, paths: Mapping[str, str]
) -> None:
    """Prints the summary of a run.

    Args:
        records: the run's records by step, complete or not.
        console: where to print; every line fits its width, except paths, which are never broken.
        name: the model's name.
        run: the run's name; records of other runs are shown as taken from the cache.
        paths: where things lie, by what they are (`report`, `model version`, `logs`).
    """
    listed = steps(records, run)
    console.print()
    console.print(_steps(listed, longest_name=console.width * 3 // 10))
    for origin in _origins(listed):
        console.print(Text(origin, "dim"))
    _print_decision(console, decide(records, run), f"{fmt.plain(name)}, run {fmt.plain(run)}")
    console.print(_figures(key_figures(records, run)))
    _print_paths(console, paths)


def _steps(listed: Sequence[Step], longest_name: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("step", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("what it did", overflow="fold")
    for step in listed:
        words = Text(step.words, "red" if step.outcome == FAILED else "")
        name = Text(fmt.shortened(fmt.plain(step.name), longest_name))
        table.add_row(name, Text(step.outcome, OUTCOME_STYLES[step.outcome]), _time(step), words)
    return table


def _time(step: Step) -> str:
    """Process start and work; nothing for a step that took none, or whose end is not known."""
    if step.record is None or step.outcome in (CACHED, STOPPED):
        return ""
    return fmt.duration(step.record.seconds + (step.record.startup_s or 0.0))


def _origins(listed: Sequence[Step]) -> list[str]:
    """One line for each earlier run that steps were taken from: which they are, and since when they are there."""
    records = [step.record for step in listed if step.record and step.outcome == CACHED]
    runs = sorted({record.run for record in records})
    return [_origin([record for record in records if record.run == run], is_only=len(runs) == 1) for run in runs]


def _origin(records: Sequence[Record], is_only: bool) -> str:
    run = fmt.plain(records[0].run)
    names: dict[str, list[str]] = {}
    for record in sorted(records, key=lambda record: record.started_s):
        names.setdefault(fmt.moment(record.started_s), []).append(fmt.plain(record.step))
    if is_only and len(names) == 1:
        return f"The cached steps are there since {next(iter(names))}, from run {run}."
    made = "; ".join(f"{', '.join(steps)} since {since}" for since, steps in names.items())
    return f"Cached from run {run}: {made}."


def _print_decision(console: Console, decided: Decision, what: str) -> None:
    console.print()
    console.print(Text.assemble((decided.headline, DECISION_STYLES.get(decided.kind, "bold")), f"  ({what})"))
    for line in (decided.reason, decided.after):
        if line:
            console.print(Text(line))
    console.print()


def _figures(figures: Sequence[Figure]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for figure in figures:
        table.add_row(Text(figure.label, "dim"), Text(figure.value, "bold"), Text(figure.note, "dim"))
    return table


def _print_paths(console: Console, paths: Mapping[str, str]) -> None:
    """One line for each path, not broken, so that it can be copied."""
    width = max((len(what) for what in paths), default=0)
    console.print()
    for what, path in paths.items():
        console.print(Text.assemble((f"{what:<{width}}  ", "dim"), fmt.plain(path)), soft_wrap=True)
