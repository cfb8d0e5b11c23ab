"""The commands of `pipeline.py`."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from components.config import ModelConfig, json_schema
from components.errors import UserError
from components.orchestration.beside import work_address
from components.orchestration.cluster_commands import add_schedule, add_submit
from components.orchestration.draw import Draw
from components.orchestration.options import add_lock, add_model, check_date, load_model
from components.storage.atomic import write_bytes

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
    add_submit(commands)
    add_schedule(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of model.yaml")
    schema.set_defaults(command=_schema, debug=False)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="retrain one model once, on this machine, when it pays")
    add_model(run)
    run.add_argument("--until", default="", metavar="DATE", help="use only data up to this day (YYYY-MM-DD)")
    run.add_argument("--force", action="store_true", help="retrain even when nothing is new")
    run.add_argument(
        "--no-cache", action="store_true", help="use no result of an earlier run, and keep none for later ones"
    )
    _add_containers(run)
    run.set_defaults(command=_run)


def _add_containers(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="what steps run in: processes with this Python, or containers of the images that `make images` builds "
        "(default: %(default)s)",
    )
    only = "with --runner docker: "
    run.add_argument("--memory", type=float, metavar="GIB", help=f"{only}what one step may take (default: all)")
    run.add_argument("--cpus", type=float, metavar="CORES", help=f"{only}what one step may take (default: all)")
    run.add_argument(
        "--network",
        metavar="NAME",
        help=f"{only}none, host or a network of the engine (default: host where the work directory or a source is a "
        "URL, else none)",
    )


def _add_compile(commands: Any) -> None:
    compile_ = commands.add_parser("compile", help="write the pipeline as YAML for the Kubeflow Pipelines UI or SDK")
    add_model(compile_, work=None)
    compile_.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write (.yaml)")
    compile_.add_argument("--manifests", action="store_true", help="write Kubernetes resources, for kubectl and GitOps")
    add_lock(compile_)
    compile_.set_defaults(command=_compile)


def _run(arguments: argparse.Namespace, draw: Draw) -> int:
    from components.orchestration.retrain import retrain  # KFP's local runner is slow to import

    check_date(arguments.until)
    config = load_model(arguments)
    work = work_address(arguments.work)
    parameters = {"until": arguments.until, "force": arguments.force, "work_uri": str(work)}
    pipeline = draw(config, str(work))
    cache = not arguments.no_cache
    runner = _runner(arguments, config)
    return 0 if retrain(pipeline, parameters, config.name, arguments.model, cache, arguments.debug, runner) else 1


def _runner(arguments: argparse.Namespace, config: ModelConfig) -> Any:
    if arguments.runner == "subprocess":
        for option in ("memory", "cpus", "network"):
            if getattr(arguments, option) is not None:
                raise UserError(f"--{option} is for containers, but steps run in processes; add --runner docker")
        return None
    from components.orchestration.container_limits import Limits
    from components.orchestration.containers import Containers  # its packages are not needed without
    from components.orchestration.mounts import Folders

    addresses = (arguments.work, config.ingest.source, config.predict.source or "")
    network = arguments.network or ("host" if any("://" in address for address in addresses) else "none")
    return Containers(Folders.of(config), Limits(network, arguments.memory, arguments.cpus))


def _compile(arguments: argparse.Namespace, draw: Draw) -> int:
    from components.orchestration.compile import compile_pipeline, notes  # KFP is slow to import

    if arguments.output.suffix not in (".yaml", ".yml"):
        raise UserError(f"{arguments.output} must end in .yaml; give such a name with -o")
    config = load_model(arguments)
    compiled = compile_pipeline(draw, config, arguments.work, arguments.images_lock)
    text = compiled.manifests(config.cluster.namespace) if arguments.manifests else compiled.yaml
    write_bytes(arguments.output, text.encode())
    console = Console(soft_wrap=True)
    console.print(f"wrote {arguments.output}: {compiled.version}", markup=False, highlight=False)
    for note in notes(config, compiled, arguments.images_lock):
        console.print(f"note: {note}", markup=False, highlight=False)
    return 0


def _schema(_arguments: argparse.Namespace, _draw: Draw) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
