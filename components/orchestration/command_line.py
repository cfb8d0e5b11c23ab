"""The commands of `pipeline.py`."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from components.config import ModelConfig, json_schema, load
from components.errors import UserError

Draw = Callable[[ModelConfig, str], Any]
DEFAULT_WORK = ".evergreen"


def main(draw: Draw) -> None:
    """Runs the command that the command line names, and exits.

    Args:
        draw: makes the KFP pipeline of a model, given the default of its parameter `work_uri`.
    """
    arguments = _parser().parse_args()
    try:
        sys.exit(arguments.command(arguments, draw))
    except UserError as error:
        if arguments.debug:
            raise
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipeline.py", description="Keeps TensorFlow models fresh, small and cheap.")
    parser.add_argument("--debug", action="store_true", help="show tracebacks, and the tasks' output as it comes")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_compile(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of model.yaml")
    schema.set_defaults(command=_schema)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help="folder of a model, with a model.yaml in it")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a key of model.yaml"
    )
    command.add_argument("--work", default=DEFAULT_WORK, help="work directory (default: %(default)s)")


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="retrain one model once, on this machine, when it pays")
    _add_model(run)
    run.add_argument("--until", default="", metavar="DATE", help="use only data up to this day (YYYY-MM-DD)")
    run.add_argument("--force", action="store_true", help="retrain even when nothing is new")
    run.add_argument("--no-cache", action="store_true", help="use no result of an earlier run")
    run.set_defaults(command=_run)


def _add_compile(commands: Any) -> None:
    compile_ = commands.add_parser("compile", help="write the pipeline as YAML for the Kubeflow Pipelines UI or SDK")
    _add_model(compile_)
    compile_.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write (.yaml)")
    compile_.set_defaults(command=_compile)


def _run(arguments: argparse.Namespace, draw: Draw) -> int:
    from components.orchestration.local_run import run_model  # KFP's local runner is slow to import

    config = load(arguments.model, tuple(arguments.set))
    work = Path(arguments.work).absolute()
    parameters = {"until": arguments.until, "force": arguments.force, "work_uri": str(work)}
    succeeded = run_model(
        draw(config, str(work)),
        parameters,
        config,
        arguments.model,
        cache=not arguments.no_cache,
        debug=arguments.debug,
    )
    return 0 if succeeded else 1


def _compile(arguments: argparse.Namespace, draw: Draw) -> int:
    from kfp import compiler

    if arguments.output.suffix not in (".yaml", ".yml"):
        raise UserError(f"{arguments.output} must end in .yaml; give such a name with -o")
    pipeline = draw(load(arguments.model, tuple(arguments.set)), arguments.work)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(arguments.output))
    Console().print(f"wrote {arguments.output}", highlight=False)
    return 0


def _schema(_arguments: argparse.Namespace, _draw: Draw) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
