"""`python -m components.cleanup --work .evergreen --model flights [--dry-run]`: frees what a model's runs left."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from components.cleanup.cleanup import Deletion, Failure, apply, plan
from components.cleanup.config import Retention
from components.errors import UserError
from components.schema import canonical_json, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        planned = _plan(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    if not planned:
        console.print(f"Nothing of {options.model} may go.")
        return 0
    console.print(_table(planned, options.work.resolve(), options.model))
    if options.dry_run:
        console.print("Nothing was deleted; leave out --dry-run to delete this.")
        return 0
    return _report(*apply(planned), console)


def _parser() -> argparse.ArgumentParser:
    default = Retention()
    parser = argparse.ArgumentParser(prog="python -m components.cleanup", description="Frees what a model's runs left.")
    parser.add_argument("--work", type=Path, required=True, help="the work directory")
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--days", type=int, default=default.days, help="retention.days of its model.yaml (%(default)s)")
    parser.add_argument("--runs", type=int, default=default.runs, help="retention.runs of its model.yaml (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    return parser


def _plan(options: argparse.Namespace) -> list[Deletion]:
    retention = parse(Retention, canonical_json({"days": options.days, "runs": options.runs}))
    if not options.work.is_dir():
        raise UserError(f"{options.work} is not a folder; give the work directory of the runs")
    return plan(options.work, options.model, retention, time.time())


def _table(planned: Sequence[Deletion], work: Path, model: str) -> Table:
    total = sum(deletion.bytes for deletion in planned)
    table = Table(title=f"What may go of {model}", show_footer=True)
    table.add_column("what", f"{len(planned)} in all", overflow="fold")
    table.add_column("size", decimal(total), justify="right", no_wrap=True)
    table.add_column("why")
    for deletion in planned:
        table.add_row(str(deletion.path.relative_to(work)), decimal(deletion.bytes), deletion.why)
    return table


def _report(freed: Sequence[Deletion], failed: Sequence[Failure], console: Console) -> int:
    console.print(f"Freed {decimal(sum(deletion.bytes for deletion in freed))} in {len(freed)} places.")
    for failure in failed:
        console.print(f"{failure.path} could not be deleted: {failure.error}", style="red", markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
