"""`python -m components.predict MODEL --input FILES --output DIR`: predicts with the version in service."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from components import artifacts
from components.errors import UserError
from components.model_yaml import read_yaml
from components.predict.config import Predict, check_output
from components.predict.job import Job
from components.predict.predict import Outcome, make_job, run
from components.predict.progress import shown
from components.predict.score import BAD
from components.schema import parse
from components.store import ModelStore, Version, on_disk

DEFAULT_WORK = ".evergreen"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    logging.basicConfig(level=logging.INFO if options.debug else logging.ERROR)
    if not options.debug:
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # it logs each traceback that it raises
    try:
        return _predict(options, console)
    except KeyboardInterrupt:
        sentence, code = "interrupted; run again to go on: finished shards are kept", INTERRUPTED
    except (UserError, OSError) as error:
        if options.debug:
            raise
        told = f"{error}; check that the path is right, that you may use it, and that there is room"
        sentence, code = str(error) if isinstance(error, UserError) else told, 1
    console.print(f"error: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.predict",
        description="Predicts files of rows with the version of a model that is in service. A call that was stopped is "
        "repeated to go on; the output then is the same as if it had not been stopped.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a model, with a model.yaml in it, or a model's name")
    parser.add_argument("--input", required=True, metavar="FILES", help="CSV or Parquet: path or URL, with wildcards")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the predictions")
    parser.add_argument("--work", default=DEFAULT_WORK, help="work directory, or s3://bucket/prefix (%(default)s)")
    parser.add_argument("--version", type=int, metavar="N", help="a version of the store (default: that in service)")
    parser.add_argument("--columns", metavar="A,B", help="columns to repeat in the output (default: predict.columns)")
    parser.add_argument("--max-bad-rows", type=float, metavar="SHARE", help="share of a file that may be unreadable")
    parser.add_argument("--workers", type=int, metavar="N", help="rows worked on at once (default: one for each core)")
    parser.add_argument(
        "--beam", action="append", metavar="OPTION", help="option of Apache Beam, such as --beam=--runner=FlinkRunner"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks and Beam's log")
    return parser


def _predict(options: argparse.Namespace, console: Console) -> int:
    output = _folder(options.output)
    name, section = _model(options.model)
    store = ModelStore(options.work, name)
    version = store.version(options.version) if options.version is not None else _in_service(store, options.work)
    with store.holding(version):
        copy = Version(version.number, on_disk(version.location))
        if section is None:
            section = _section(copy.path / artifacts.MODEL_YAML)
        config = parse(Predict, json.dumps({**section, **_given(options)}, default=str))
        job = make_job(name, copy, options.input.replace("{work}", str(options.work)), config)
        console.print(f"{name} version {version.number}: {job.rows:,} rows of {len(job.inputs)} files", highlight=False)
        outcome = run(job, output, config, lambda job, folder: shown(job, folder, console))
    Console().print(_table(job, outcome))
    return 0


def _folder(output: str) -> Path:
    try:
        check_output(output)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Path(output).absolute()


def _model(model: str) -> tuple[str, dict[str, Any] | None]:
    """The model's name, and the section `predict` where a folder is given."""
    path = Path(model) / artifacts.MODEL_YAML
    if path.is_file():
        name = read_yaml(path).get("name")
        if not isinstance(name, str):
            raise UserError(f"{path} gives the model no name; add name")
        return name, _section(path)
    if "/" in model:
        raise UserError(f"{path} does not exist; give the folder of a model, or the name of one in {DEFAULT_WORK}")
    return model, None


def _section(path: Path) -> dict[str, Any]:
    """The section `predict` of a configuration: a model's, or the one that is kept with a version."""
    section = read_yaml(path).get("predict") or {}
    if not isinstance(section, dict):
        raise UserError(f"{path}: predict is {section}; it must be a mapping")
    return section


def _in_service(store: ModelStore, work: str) -> Version:
    version = store.pointed("serving")
    if version is None:
        known = ", ".join(name for name in store.storage.names("models") if not name.startswith(".")) or "none"
        raise UserError(f"no version of {store.name} is in service in {work}; models there: {known}")
    return version


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says in place of the section."""
    given = {
        "columns": options.columns and [name for name in options.columns.split(",") if name],
        "max_bad_rows": options.max_bad_rows,
        "workers": options.workers,
        "beam": options.beam,
    }
    return {key: value for key, value in given.items() if value is not None}


def _table(job: Job, outcome: Outcome) -> Table:
    table = Table(title=f"Predictions of {job.model} version {job.version.number}", show_header=False)
    speed = f" ({outcome.rows_per_s:,} a second)" if outcome.rows_per_s else ""
    table.add_row("rows", f"{outcome.rows:,}{speed}")
    table.add_row("files", f"{outcome.shards} of {decimal(outcome.bytes)}, {outcome.skipped_shards} there already")
    for reason, count in outcome.bad.items():
        table.add_row("unreadable rows", f"{count:,}: {reason}, see {outcome.folder / BAD}")
    for path, names in outcome.absent.items():
        table.add_row("columns missing", f"{', '.join(names)} in {path}: predicted as if unknown", style="yellow")
    table.add_row("seconds", f"{outcome.seconds:.1f}")
    table.add_row("where", str(outcome.folder))
    return table


if __name__ == "__main__":
    sys.exit(main())
