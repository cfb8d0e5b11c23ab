"""What several commands of `pipeline.py` take, and how it is read."""

import argparse
from datetime import date
from pathlib import Path

from components.config import MODEL_FILE, ModelConfig, load
from components.errors import UserError
from components.orchestration.draw import DEFAULT_WORK


def add_model(command: argparse.ArgumentParser, work: str | None = DEFAULT_WORK) -> None:
    """Adds what all commands on a model take.

    Args:
        command: takes them.
        work: default of --work; None: what `cluster.work_uri` of model.yaml says.
    """
    command.add_argument("model", type=Path, metavar="MODEL", help=f"folder of a model, with a {MODEL_FILE} in it")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a key of model.yaml"
    )
    told = "work directory, or s3://bucket/prefix (default: %(default)s)"
    if work is None:
        told = "default of work_uri (default: cluster.work_uri)"
    command.add_argument("--work", default=work, help=told)
    command.add_argument("--debug", action="store_true", help="show tracebacks and, after a run, its log")


def add_lock(command: argparse.ArgumentParser) -> None:
    """Adds the file that says where images were pushed to."""
    help_ = "addresses of pushed images (default: images.lock beside pipeline.py, where there is one)"
    command.add_argument("--images-lock", type=Path, metavar="FILE", help=help_)


def load_model(arguments: argparse.Namespace) -> ModelConfig:
    """Reads the model that the command line names.

    Raises:
        UserError: the work directory is empty, or the model is wrong.
    """
    if arguments.work == "":
        raise UserError('--work is ""; give a folder')
    return load(arguments.model, tuple(arguments.set))


def check_date(until: str) -> None:
    """Refuses what `--until` cannot be.

    Raises:
        UserError: it is no date.
    """
    try:
        _ = until and date.fromisoformat(until)
    except ValueError:
        raise UserError(f"--until is {until}; it must be a date like 2013-09-30") from None
