"""The commands `submit` and `schedule`: a model's pipeline on Kubeflow Pipelines, once or again and again."""

import argparse
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

from components.config import ModelConfig
from components.errors import UserError
from components.orchestration.draw import Draw
from components.orchestration.options import add_lock, add_model, check_date, load_model
from components.orchestration.trigger import Trigger

if TYPE_CHECKING:
    from components.orchestration.client import Kubeflow
    from components.orchestration.compile import Compiled
    from components.orchestration.schedule import Schedule

OUTAGE_S = 60.0
WAITING_OUTAGE_S = 15 * 60.0
"""The connection may be away for longer while a run of hours is waited for."""


@dataclass(frozen=True)
class Uploaded:
    """A version that the cluster has."""

    compiled: "Compiled"
    pipeline: str
    version: str


def add_submit(commands: Any) -> None:
    """Adds the command that starts one run."""
    submit = commands.add_parser("submit", help="upload the pipeline to Kubeflow Pipelines and start a run of it")
    add_model(submit, work=None)
    add_lock(submit)
    _add_connection(submit)
    submit.add_argument("--until", default="", metavar="DATE", help="use only data up to this day (YYYY-MM-DD)")
    submit.add_argument("--force", action="store_true", help="retrain even when nothing is new")
    submit.add_argument("--wait", action="store_true", help="show how the run goes, and fail if it fails")
    submit.add_argument("--upload-only", action="store_true", help="start no run")
    submit.set_defaults(command=_submit)


def add_schedule(commands: Any) -> None:
    """Adds the command that starts runs again and again."""
    schedule = commands.add_parser(
        "schedule", help="upload the pipeline and let Kubeflow Pipelines run it again and again",
        description="Without options: moves the schedule that is there to the pipeline as it is now.",
    )  # fmt: skip
    add_model(schedule, work=None)
    add_lock(schedule)
    _add_connection(schedule)
    when = schedule.add_mutually_exclusive_group()
    when.add_argument(
        "--cron", metavar="CRON", help="minute hour day month weekday, or six fields with seconds first; cluster's time"
    )
    when.add_argument("--every", metavar="INTERVAL", help="such as 30m, 12h, 1d or 1w")
    doing = schedule.add_mutually_exclusive_group()
    doing.add_argument("--pause", action="store_true", help="start no more runs; one at work goes on")
    doing.add_argument("--resume", action="store_true", help="start runs again; what was missed is made up once")
    doing.add_argument("--list", action="store_true", help="show the schedule and those before it")
    doing.add_argument("--remove", action="store_true", help="delete the schedule; its runs stay listed")
    schedule.set_defaults(command=_schedule)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--host",
        metavar="URL",
        help="such as http://localhost:8080 (default: KF_PIPELINES_ENDPOINT)",
    )
    command.add_argument("--namespace", help="namespace of the runs (default: cluster.namespace of model.yaml)")
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help="holds a token (default: KF_PIPELINES_SA_TOKEN_PATH; or the token itself in KFP_EXISTING_TOKEN)",
    )
    command.add_argument("--ca-file", metavar="FILE", help="certificates that are trusted (default: SSL_CERT_FILE)")


def _submit(arguments: argparse.Namespace, draw: Draw) -> int:
    from components.orchestration.run_progress import task_names, wait

    check_date(arguments.until)
    config, console = load_model(arguments), Console(soft_wrap=True, highlight=False)
    compiled = _compiled(arguments, draw, config)
    kubeflow = _connected(arguments, config, WAITING_OUTAGE_S if arguments.wait else OUTAGE_S)
    uploaded = _upload(kubeflow, compiled, config, console)
    if arguments.upload_only:
        return 0
    run = kubeflow.start(_wanted_run(arguments, config, kubeflow, uploaded))
    console.print(f"started run {run}: {kubeflow.link(run)}", markup=False)
    if not arguments.wait:
        return 0
    try:
        return 0 if wait(kubeflow, run, task_names(compiled.yaml), console) else 1
    except KeyboardInterrupt:
        console.print(f"the run goes on: {kubeflow.link(run)}", markup=False)
        return 130


def _wanted_run(
    arguments: argparse.Namespace, config: ModelConfig, kubeflow: "Kubeflow", uploaded: Uploaded
) -> dict[str, Any]:
    """A run with a name that no other has, so that it is found where the answer to starting it was lost."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    until: dict[str, Any] = {"until": arguments.until} if arguments.until else {}
    wanted: dict[str, Any] = {
        "display_name": f"{config.name}-{stamp}-{uuid.uuid4().hex[:4]}",
        "experiment_id": kubeflow.experiment(uploaded.compiled.name, config.description),
        "pipeline_version_reference": {
            "pipeline_id": uploaded.pipeline,
            "pipeline_version_id": uploaded.version,
        },
        "runtime_config": {"parameters": until | ({"force": True} if arguments.force else {})},
    }
    return wanted | ({"service_account": config.cluster.service_account} if config.cluster.service_account else {})


def _schedule(arguments: argparse.Namespace, draw: Draw) -> int:
    trigger = _trigger(arguments)
    config, console = load_model(arguments), Console(soft_wrap=True, highlight=False)
    if (arguments.list or arguments.remove) and trigger:
        raise UserError("--cron and --every make a schedule, --list and --remove do not; give one of them")
    if trigger is None and (arguments.list or arguments.remove or arguments.pause or arguments.resume):
        return _look_after(arguments, config, console)
    return _set(arguments, draw, config, trigger, console)


def _trigger(arguments: argparse.Namespace) -> Trigger | None:
    if arguments.cron is not None:
        return Trigger.of_cron(arguments.cron)
    return Trigger.of_interval(arguments.every) if arguments.every is not None else None


def _set(
    arguments: argparse.Namespace, draw: Draw, config: ModelConfig, trigger: Trigger | None, console: Console
) -> int:
    from components.orchestration.recurring_runs import Plan
    from components.orchestration.schedule import Schedule

    compiled = _compiled(arguments, draw, config)
    kubeflow = _connected(arguments, config, OUTAGE_S)
    schedule = Schedule(kubeflow, kubeflow.experiment(compiled.name, config.description), compiled.name)
    before = schedule.situation().current
    if trigger is None and before is None:
        raise UserError(f"there is no schedule {compiled.name} to move; make one with --cron or --every")
    uploaded = _upload(kubeflow, compiled, config, console)
    account = config.cluster.service_account
    told = f"{compiled.version}, as {account or 'the default account'}; made by `pipeline.py schedule`"
    when = trigger or (before.trigger if before else Trigger())
    current = schedule.set(Plan(uploaded.pipeline, uploaded.version, when, told, account), arguments.pause)
    if arguments.resume:
        current = schedule.switch(on=True)
    state = "on" if schedule.situation().is_on else "paused; --resume lets it go on"
    changed = "as before" if before is not None and current.id == before.id else "new"
    console.print(f"schedule {compiled.name} ({changed}): {compiled.version} {when}, {state}", markup=False)
    return 0


def _look_after(arguments: argparse.Namespace, config: ModelConfig, console: Console) -> int:
    """Lists, switches or removes what is there; compiles nothing."""
    from components.cleanup.kubeflow.leftovers import pipeline_of
    from components.orchestration.schedule import Schedule

    name = pipeline_of(config.name)
    kubeflow = _connected(arguments, config, OUTAGE_S)
    experiment = kubeflow.find_experiment(name)
    if experiment is None:
        if arguments.list or arguments.remove:
            console.print(f"there is no schedule {name}", markup=False)
            return 0
        raise UserError(f"there is no schedule {name}; make one with --cron or --every")
    schedule = Schedule(kubeflow, experiment, name)
    if arguments.list:
        _print_schedule(schedule, kubeflow, experiment, console)
    elif arguments.remove:
        for kept in schedule.remove():
            console.print(f"{kept} is off, but stays until its run has ended; run this again then", markup=False)
        console.print(f"schedule {name} is removed; its runs stay in the experiment", markup=False)
    else:
        schedule.switch(on=arguments.resume)
        console.print(f"schedule {name} is {'on' if arguments.resume else 'paused'}", markup=False)
    return 0


def _print_schedule(schedule: "Schedule", kubeflow: "Kubeflow", experiment: str, console: Console) -> None:
    now = schedule.situation()
    runs = kubeflow.newest_runs(experiment)
    table = Table(*(Column(name, overflow="fold") for name in ("state", "version", "when", "made", "last run")))
    for one in now.own:
        state = "on" if one.is_enabled else "paused" if one == now.current else "superseded"
        last = next((run for run in runs if run.get("recurring_run_id") == one.id), None)
        told = f"{last['created_at']} {last.get('state', '').lower()}" if last else "none yet"
        version = kubeflow.version_name(one.pipeline, one.version) or "deleted"
        table.add_row(state, version, str(one.trigger), one.created, told)
    if now.own:
        console.print(table)
    else:
        console.print("there is no schedule")
    if now.marks:
        console.print("a change of it was killed; run `pipeline.py schedule MODEL` again", style="yellow")


def _compiled(arguments: argparse.Namespace, draw: Draw, config: ModelConfig) -> "Compiled":
    from components.orchestration.compile import compile_pipeline, notes  # KFP is slow to import

    compiled = compile_pipeline(draw, config, arguments.work, arguments.images_lock)
    if not re.fullmatch("s3://[^/]+(/.+)?", compiled.work):
        raise UserError(
            f"the work directory is {compiled.work}; on a cluster it must be in a bucket, such as "
            "s3://bucket/evergreen: give --work, or cluster.work_uri in model.yaml"
        )
    for note in notes(config, compiled, arguments.images_lock):
        Console(stderr=True, soft_wrap=True).print(f"note: {note}", markup=False, highlight=False)
    return compiled


def _connected(arguments: argparse.Namespace, config: ModelConfig, outage_s: float) -> "Kubeflow":
    from components.orchestration.connection import connect, sends_token_in_clear

    if sends_token_in_clear(arguments.host, arguments.token_file):
        Console(stderr=True, soft_wrap=True).print("note: the token travels unencrypted; https would hide it")
    namespace = arguments.namespace or config.cluster.namespace
    return connect(arguments.host, namespace, arguments.token_file, arguments.ca_file, outage_s)


def _upload(kubeflow: "Kubeflow", compiled: "Compiled", config: ModelConfig, console: Console) -> Uploaded:
    pipeline = kubeflow.pipeline(compiled.name, config.description)
    version, is_new = kubeflow.version(pipeline, compiled.version, compiled.yaml, config.description)
    told = "uploaded" if is_new else "was there already"
    console.print(f"version {compiled.version} {told}", markup=False)
    return Uploaded(compiled, pipeline, version)
