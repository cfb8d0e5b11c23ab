"""`python -m components.cleanup.kubeflow --host URL --namespace NS --work WORK --all`: frees what KFP left behind."""

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from components.cleanup.__main__ import money
from components.cleanup.cleanup import check_name
from components.cleanup.config import Retention
from components.cleanup.kubeflow.cleanup import Cleanup, Freed, Plan
from components.cleanup.kubeflow.leftovers import as_s3, is_place
from components.cleanup.kubeflow.pipelines import Pipelines
from components.cleanup.kubeflow.run import Run
from components.cleanup.retention import of_file, of_version
from components.cleanup.survey import CLEANUP, models_in
from components.cleanup.sweep import Sweep, sweeping
from components.errors import UserError
from components.kubernetes.api import Cluster
from components.kubernetes.connection import NoClusterError, connect
from components.storage.open import open_storage
from components.store import ModelStore

MARK = f"{CLEANUP}/kubeflow.json"
"""Who is at work on the cluster; `components.cleanup` may be at work in the work directory meanwhile."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        models = models_in(open_storage(options.work)) if options.all else [options.model]
        for model in models:
            check_name(model)
        _check_place(options.pipeline_root, "--pipeline-root")
        _check_place(options.logs, "--logs")
        _tell_what_is_left_alone(options, console)
        with _one_at_a_time(options) as sweep:
            return _clean_up_all(models, options, sweep, console)
    except (UserError, OSError) as error:
        return _refuse(error)


def _one_at_a_time(options: argparse.Namespace) -> contextlib.AbstractContextManager[Sweep | None]:
    return contextlib.nullcontext() if options.dry_run else sweeping(open_storage(options.work), MARK)


def _clean_up_all(models: Sequence[str], options: argparse.Namespace, sweep: Sweep | None, console: Console) -> int:
    pipelines, cluster = Pipelines(options.host, options.namespace), _cluster(options.namespace, console)
    runs = list(pipelines.runs())
    codes = []
    for model in models:
        if sweep is not None:
            sweep.check()
        codes.append(_clean_up(model, options, pipelines, cluster, runs, console))
    if options.dry_run:
        console.print("Nothing was deleted; leave out --dry-run to delete this.")
    return max(codes, default=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.cleanup.kubeflow", description="Frees what Kubeflow Pipelines left on a cluster."
    )
    parser.add_argument("--host", required=True, help="Kubeflow Pipelines, such as http://ml-pipeline.kubeflow:8888")
    parser.add_argument("--namespace", required=True, help="namespace of the runs and TFJobs")
    parser.add_argument("--work", required=True, help="the work directory, with the model store: a folder or s3://…")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--model", help="the model's name")
    whose.add_argument("--all", action="store_true", help="all models that have data or versions there")
    parser.add_argument(
        "--config", type=Path, help="a model.yaml whose retention counts (default: that of the version in service)"
    )
    parser.add_argument(
        "--pipeline-root", type=as_s3, metavar="URL", help="such as s3://mlpipeline/v2/artifacts: outputs go too"
    )
    parser.add_argument(
        "--logs", type=as_s3, metavar="URL", help="where each workflow has a folder with its pods' logs: these go too"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    return parser


def _check_place(address: str | None, option: str) -> None:
    """What a run left in a place that was mistyped would stay for good: the run alone tells that it is there."""
    if address is not None and not is_place(address):
        raise UserError(
            f"{option} is {address}; give s3://bucket/prefix, minio://bucket/prefix or a folder that exists"
        )


def _cluster(namespace: str, console: Console) -> Cluster | None:
    try:
        return connect(namespace)
    except NoClusterError as error:
        console.print(f"TFJobs are left alone: {error}.", markup=False, soft_wrap=True)
        return None


def _tell_what_is_left_alone(options: argparse.Namespace, console: Console) -> None:
    named = ((options.pipeline_root, "outputs", "--pipeline-root"), (options.logs, "logs", "--logs"))
    for place, what, option in named:
        if place is None:
            console.print(f"Without {option} the {what} of runs that go stay where they are, for good.", soft_wrap=True)


def _clean_up(
    model: str,
    options: argparse.Namespace,
    pipelines: Pipelines,
    cluster: Cluster | None,
    runs: Sequence[Run],
    console: Console,
) -> int:
    """Cleans up after one model; an error of it does not keep the others from their turn."""
    try:
        retention = of_version(options.work, model) if options.config is None else of_file(options.config)
        cleanup = Cleanup(
            model=model,
            retention=retention,
            pipelines=pipelines,
            cluster=cluster,
            work=open_storage(options.work),
            store=ModelStore(options.work, model),
            root=options.pipeline_root,
            logs=options.logs,
        )
        plan = cleanup.plan(runs, time.time())
        _show(plan, model, retention, console)
        if options.dry_run:
            return 0
        return _report(cleanup.apply(plan), model, retention, console)
    except (UserError, OSError) as error:
        return _refuse(error)


def _show(plan: Plan, model: str, retention: Retention, console: Console) -> None:
    if not plan.leftovers:
        console.print(f"Nothing that Kubeflow Pipelines keeps of {model} may go.")
    else:
        total = sum(leftover.bytes for leftover in plan.leftovers)
        table = Table(title=f"What may go of {model} on the cluster", show_footer=True)
        table.add_column("what", f"{len(plan.leftovers)} in all", no_wrap=True)
        table.add_column("which", overflow="fold")
        table.add_column("size", decimal(total), justify="right", no_wrap=True)
        table.add_column("why", f"saves {money(total, retention)} a month at {retention.price_gb_month:g} a GB")
        for leftover in plan.leftovers:
            table.add_row(leftover.kind, leftover.name, decimal(leftover.bytes), leftover.why)
        console.print(table)
    for note in plan.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)


def _report(freed: Freed, model: str, retention: Retention, console: Console) -> int:
    size = sum(leftover.bytes for leftover in freed.leftovers)
    console.print(
        f"Freed {decimal(size)} of {model} on the cluster in {len(freed.leftovers)} places, which saves "
        f"{money(size, retention)} a month.",
        soft_wrap=True,
    )
    for failure in freed.failures:
        message = f"{failure.path} could not be deleted: {failure.error}"
        console.print(message, style="red", markup=False, soft_wrap=True)
    return 1 if freed.failures else 0


def _refuse(error: Exception) -> int:
    print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
