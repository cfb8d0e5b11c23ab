"""The commands of `pipeline.py`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from components.config import MODEL_FILE, ModelConfig, json_schema, load
from components.errors import UserError

Draw = Callable[[ModelConfig, str], Any]
DEFAULT_WORK = ".evergreen"
INTERRUPTED = 130


def main(draw: Draw) -> None:
    """Runs the command that the command line names, and exits.

    Args:
        draw: makes the KFP pipeline of a model, given the default of its parameter `work_uri`.
    """
    arguments = _parser().parse_args()
    try:
        code = arguments.command(arguments, draw)
    except KeyboardInterrupt:
        code = _refuse("interrupted; run again to go on: finished steps come from the cache", INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (UserError, OSError) as error:
        if arguments.debug:
            raise
        code = _refuse(str(error), 1)
    sys.exit(code)


def _refuse(sentence: str, code: int) -> int:
    Console(stderr=True).print(f"error: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipeline.py", description="Keeps TensorFlow models fresh, small and cheap.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_compile(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of model.yaml")
    schema.set_defaults(command=_schema, debug=False)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help=f"folder of a model, with a {MODEL_FILE} in it")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a key of model.yaml"
    )
    command.add_argument("--work", default=DEFAULT_WORK, help="work directory (default: %(default)s)")
    command.add_argument("--debug", action="store_true", help="show tracebacks and, after a run, its log")


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="retrain one model once, on this machine, when it pays")
    _add_model(run)
    run.add_argument("--until", default="", metavar="DATE", help="use only data up to this day (YYYY-MM-DD)")
    run.add_argument("--force", action="store_true", help="retrain even when nothing is new")
    run.add_argument(
        "--no-cache", action="store_true", help="use no result of an earlier run, and keep none for later ones"
    )
    run.set_defaults(command=_run)


def _add_compile(commands: Any) -> None:
    compile_ = commands.add_parser("compile", help="write the pipeline as YAML for the Kubeflow Pipelines UI or SDK")
    _add_model(compile_)
    compile_.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write (.yaml)")
    compile_.set_defaults(command=_compile)


def _run(arguments: argparse.Namespace, draw: Draw) -> int:
    from components.orchestration.retrain import retrain  # KFP's local runner is slow to import

    _check_date(arguments.until)
    config = _load(arguments)
    work = Path(arguments.work).absolute()
    parameters = {"until": arguments.until, "force": arguments.force, "work_uri": str(work)}
    pipeline = draw(config, str(work))
    cache = not arguments.no_cache
    return 0 if retrain(pipeline, parameters, config.name, arguments.model, cache, arguments.debug) else 1


def _compile(arguments: argparse.Namespace, draw: Draw) -> int:
    from kfp import compiler

    if arguments.output.suffix not in (".yaml", ".yml"):
        raise UserError(f"{arguments.output} must end in .yaml; give such a name with -o")
    config = _load(arguments)
    pipeline = draw(config, arguments.work)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(arguments.output))
    console = Console()
    console.print(f"wrote {arguments.output}", markup=False, highlight=False)
    for key, place in (("ingest.source", config.ingest.source), ("work_uri (--work)", arguments.work)):
        if "://" not in place and not place.startswith("{work}"):
            console.print(f"note: {key} is {place}, a path; a cluster needs one that its pods have, or a URL")
    return 0


def _load(arguments: argparse.Namespace) -> ModelConfig:
    if not arguments.work:
        raise UserError('--work is ""; give a folder')
    return load(arguments.model, tuple(arguments.set))


def _check_date(until: str) -> None:
    try:
        _ = until and date.fromisoformat(until)
    except ValueError:
        raise UserError(f"--until is {until}; it must be a date like 2013-09-30") from None


def _schema(_arguments: argparse.Namespace, _draw: Draw) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
