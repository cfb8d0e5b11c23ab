"""`python -m components.cleanup --work .evergreen --model flights [--dry-run]`: frees what a model's runs left."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from components.cleanup.cleanup import Outcome, check_name, clean_up, plan
from components.cleanup.config import Retention
from components.cleanup.deletion import Deletion
from components.cleanup.plan import Plan
from components.cleanup.retention import of_file, of_version
from components.cleanup.survey import models_in
from components.errors import UserError
from components.storage.address import is_local
from components.storage.open import open_storage

DEFAULT_WORK = ".evergreen"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        retentions, is_whole = _retentions(options)
        if options.dry_run:
            _show_plans(plan(options.work, retentions, time.time()), retentions, console)
        else:
            outcomes = clean_up(options.work, retentions, time.time())
            is_whole &= _show_outcomes(outcomes, retentions, console)
        return 0 if is_whole else 1
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.cleanup", description="Frees what models' runs left.")
    work_help = "the work directory, a folder or s3://bucket/prefix (default: %(default)s)"
    parser.add_argument("--work", default=DEFAULT_WORK, help=work_help)
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--model", help="the model's name")
    whose.add_argument("--all", action="store_true", help="all models that left something there (the default)")
    parser.add_argument(
        "--config", type=Path, help="a model.yaml whose retention counts (default: that of the version in service)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    return parser


def _retentions(options: argparse.Namespace) -> tuple[dict[str, Retention], bool]:
    """The retention of each model, and whether each has one: what one model lacks must not hold up the others."""
    if is_local(options.work) and not Path(options.work).is_dir():
        raise UserError(f"{options.work} is not a folder; give the work directory of the runs by --work")
    models = _models(options)
    if options.config is not None:
        return dict.fromkeys(models, of_file(options.config)), True
    retentions = {}
    for model in models:
        try:
            retentions[model] = of_version(options.work, model)
        except UserError as error:
            if options.model is not None:
                raise
            print(error, file=sys.stderr)
    return retentions, len(retentions) == len(models)


def _models(options: argparse.Namespace) -> list[str]:
    known = models_in(open_storage(options.work))
    if options.model is not None:
        check_name(options.model)
        if options.model not in known:
            there = ", ".join(known) or "none"
            raise UserError(f"no model {options.model} left anything in {options.work}; models there: {there}")
        return [options.model]
    models = []
    for model in known:
        try:
            check_name(model)
            models.append(model)
        except UserError as error:
            print(f"{error}; what has it in {options.work} is left alone", file=sys.stderr)
    return models


def _show_plans(plans: Mapping[str, Plan], retentions: Mapping[str, Retention], console: Console) -> None:
    for model, planned in plans.items():
        _show(planned.deletions, f"What may go of {model}", retentions[model], console)
        for upload in planned.uploads:
            console.print(
                f"{upload.key}: parts of an upload that was never finished may go", markup=False, soft_wrap=True
            )
        _show_notes(planned.notes, console)
    _show_sum([(planned.deletions, retentions[model]) for model, planned in plans.items()], console)
    console.print("Nothing was deleted; leave out --dry-run to delete this.")


def _show_outcomes(outcomes: Mapping[str, Outcome], retentions: Mapping[str, Retention], console: Console) -> bool:
    """Returns whether all went that was to go."""
    for model, outcome in outcomes.items():
        _show(outcome.freed, f"What went of {model}", retentions[model], console)
        for failure in outcome.failed:
            message = f"{failure.path} could not be deleted: {failure.error}"
            console.print(message, style="red", markup=False, soft_wrap=True)
        _show_notes(outcome.notes, console)
    _show_sum([(outcome.freed, retentions[model]) for model, outcome in outcomes.items()], console)
    return not any(outcome.failed for outcome in outcomes.values())


def _show(deletions: Sequence[Deletion], title: str, retention: Retention, console: Console) -> None:
    if not deletions:
        console.print(f"{title}: nothing.")
        return
    total = sum(deletion.bytes for deletion in deletions)
    saved = f"{money(total, retention)} a month saved, at {retention.price_gb_month:g} for a GB"
    if not console.is_terminal:  # another program reads lines, which are not to be folded
        lines = [f"{title}:", *(f"{one.path}\t{decimal(one.bytes)}\t{one.why}" for one in deletions)]
        print(*lines, f"{len(deletions)} in all\t{decimal(total)}\t{saved}", sep="\n")
        return
    table = Table(title=title, show_footer=True)
    table.add_column("what", f"{len(deletions)} in all", overflow="fold")
    table.add_column("size", decimal(total), justify="right", no_wrap=True)
    table.add_column("why", saved)
    for deletion in deletions:
        table.add_row(Text(deletion.path), decimal(deletion.bytes), Text(deletion.why))
    console.print(table)


def _show_sum(parts: Sequence[tuple[Sequence[Deletion], Retention]], console: Console) -> None:
    """Of several models together."""
    if len(parts) > 1:
        sizes = [sum(deletion.bytes for deletion in deletions) for deletions, _ in parts]
        saved = sum(size / 1e9 * retention.price_gb_month for size, (_, retention) in zip(sizes, parts))
        console.print(f"All models together: {decimal(sum(sizes))}, {_price(saved)} a month.")


def _show_notes(notes: Sequence[str], console: Console) -> None:
    for note in notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)


def money(size: int, retention: Retention) -> str:
    """What bytes cost a month, to the cent, or with two digits that count below that."""
    return _price(size / 1e9 * retention.price_gb_month)


def _price(price: float) -> str:
    return f"{price:.2f}" if price >= 0.1 or not price else f"{price:.2g}"


if __name__ == "__main__":
    sys.exit(main())
