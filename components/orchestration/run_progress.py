"""Waits for a run on a cluster, and shows how it goes."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import ENDED, Object
from components.orchestration.client import Kubeflow

POLL_S = 5.0
SUCCEEDED = "SUCCEEDED"
MARKS = {SUCCEEDED: "[green]✓[/]", "FAILED": "[red]✗[/]", "CANCELED": "[red]✗[/]", "SKIPPED": "[dim]-[/]"}


def wait(kubeflow: Kubeflow, run: str, tasks: frozenset[str], console: Console) -> bool:
    """Shows each task that ends, until the run has ended.

    Args:
        kubeflow: the server.
        run: the run's id.
        tasks: the names of those to show; KFP counts its drivers as tasks too.
        console: where to show them.

    Returns:
        whether the run succeeded.

    Raises:
        UserError: the run cannot be read any more; it goes on all the same.
    """
    shown: set[str] = set()
    with console.status("starting") as status:
        while True:
            try:
                found = kubeflow.run(run)
            except UserError as error:
                raise UserError(f"{error}; the run goes on meanwhile: {kubeflow.link(run)}") from None
            listed = [task for task in _tasks(found) if task.get("display_name") in tasks]
            for task in listed:
                if task.get("state") in ENDED and task["task_id"] not in shown:
                    shown.add(task["task_id"])
                    console.print(_line(task), highlight=False)
            if found.get("state") in ENDED:
                break
            working = [task["display_name"] for task in listed if task.get("state") == "RUNNING"]
            status.update(escape(", ".join(working) or str(found.get("state", "starting")).lower()))
            time.sleep(POLL_S)
    _print_end(found, listed, console)
    return bool(found["state"] == SUCCEEDED)


def task_names(text: str) -> frozenset[str]:
    """The names of the tasks in a compiled pipeline that do work."""
    specification = next(yaml.safe_load_all(text))
    components: dict[str, Any] = specification["components"]
    dags = [specification["root"], *components.values()]
    return frozenset(
        task["taskInfo"]["name"]
        for dag in dags
        for task in dag.get("dag", {}).get("tasks", {}).values()
        if "executorLabel" in components[task["componentRef"]["name"]]
    )


def _tasks(run: Object) -> Iterator[Object]:
    for task in (run.get("run_details") or {}).get("task_details") or []:
        if "task_id" in task:
            yield task


def _line(task: Object) -> str:
    took_s = _time_s(task.get("end_time")) - _time_s(task.get("start_time"))
    return f"{MARKS[task['state']]} {escape(task['display_name']):<18} {max(0.0, took_s):6.0f} s"


def _time_s(text: str | None) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _print_end(run: Object, tasks: list[Object], console: Console) -> None:
    style = "bold green" if run["state"] == SUCCEEDED else "bold red"
    console.print(f"the run has {'succeeded' if run['state'] == SUCCEEDED else run['state'].lower()}", style=style)
    said = (run.get("error") or {}).get("message")
    if said:
        console.print(said, style="red", markup=False, highlight=False)
    for task in tasks:
        if task.get("state") == "FAILED":
            pods = [child["pod_name"] for child in task.get("child_tasks") or [] if child.get("pod_name")]
            where = f": kubectl logs {pods[-1]} -c main" if pods else ""
            console.print(f"{task['display_name']} failed{where}", style="red", markup=False, highlight=False)
