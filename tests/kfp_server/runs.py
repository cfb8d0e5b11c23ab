"""Experiments, runs and recurring runs."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.kfp_server import specs
from tests.kfp_server.answers import Object, RefusedError, missing, page, stamp

if TYPE_CHECKING:
    from tests.kfp_server.server import KfpServer

FIELDS = {"created_at", "state", "storage_state", "display_name", "run_id", "scheduled_at", "recurring_run_id"}
RECURRING_FIELDS = {"display_name", "created_at", "updated_at", "description"}
EXPERIMENT_FIELDS = {"display_name", "created_at", "storage_state", "namespace"}


def answer_experiments(
    kfp: "KfpServer", method: str, parts: list[str], query: Mapping[str, str], body: Object
) -> Object:
    """Requests below `/experiments`."""
    if parts:
        if parts[0] not in kfp.experiments:
            raise missing("Experiment", parts[0])
        return kfp.experiments[parts[0]]
    if method == "POST":
        return _create_experiment(kfp, body)
    namespace = kfp.needed(query.get("namespace", ""))
    found = [one for one in kfp.experiments.values() if one.get("namespace", "") == namespace]
    return page(found, "experiments", "experiment_id", query, EXPERIMENT_FIELDS)


def answer_runs(kfp: "KfpServer", method: str, parts: list[str], query: Mapping[str, str], body: Object) -> Object:
    """Requests below `/runs`."""
    if not parts:
        return _create_run(kfp, body) if method == "POST" else kfp.list_runs(query)
    name = parts[0].partition(":")[0]
    if name not in kfp.runs:
        raise missing("runs", name)
    if kfp.namespaces[name] != kfp.namespace:
        raise RefusedError(403, "Failed to authorize the request: User cannot get runs")
    if method == "DELETE":
        return kfp.delete(name)
    return kfp.runs[name]


def answer_recurring(kfp: "KfpServer", method: str, parts: list[str], query: Mapping[str, str], body: Object) -> Object:
    """Requests below `/recurringruns`."""
    if not parts:
        return _create_recurring(kfp, body) if method == "POST" else _list_recurring(kfp, query)
    name, _, doing = parts[0].partition(":")
    if name not in kfp.recurring:
        raise missing("recurring run", name)
    if method == "DELETE":
        kfp.remove_recurring(name)
        return {}
    if doing:
        change = {"enable": ("ENABLED", "ENABLE"), "disable": ("DISABLED", "DISABLE")}[doing]
        kfp.recurring[name] |= {"status": change[0], "mode": change[1], "updated_at": stamp(kfp.tick())}
        kfp.note_enabled()
        return {}
    return kfp.recurring[name]


def _create_experiment(kfp: "KfpServer", body: Object) -> Object:
    namespace, name = kfp.needed(body.get("namespace") or ""), body.get("display_name")
    if not name:
        raise RefusedError(400, "Experiment name is empty. Please specify a valid experiment name.")
    if any(one["display_name"] == name and one.get("namespace", "") == namespace for one in kfp.experiments.values()):
        raise RefusedError(409, f"Failed to create a new experiment. The name {name} already exists.")
    found = {
        "experiment_id": kfp.new_id("experiment"),
        "display_name": name,
        "description": body.get("description") or "",
        "created_at": stamp(kfp.tick()),
        "storage_state": "AVAILABLE",
        **({"namespace": namespace} if namespace else {}),
    }
    kfp.experiments[found["experiment_id"]] = found
    return found


def _create_run(kfp: "KfpServer", body: Object) -> Object:
    if not body.get("display_name"):
        raise RefusedError(400, "The run name is empty. Please specify a valid name")
    source = _source(kfp, body)
    found = {
        "run_id": kfp.new_id("run"),
        "display_name": body["display_name"],
        "experiment_id": _experiment(kfp, body),
        "storage_state": "AVAILABLE",
        "state": "PENDING",
        "created_at": stamp(kfp.tick()),
        "scheduled_at": stamp(kfp.now_s),
        "finished_at": stamp(0),
        "service_account": body.get("service_account") or "pipeline-runner",
        "runtime_config": body.get("runtime_config") or {},
        **source,
    }
    kfp.runs[found["run_id"]], kfp.namespaces[found["run_id"]] = found, kfp.namespace
    return found


def list_runs(kfp: "KfpServer", query: Mapping[str, str]) -> Object:
    if "experiment_id" in query:
        found = [run for run in kfp.runs.values() if run["experiment_id"] == query["experiment_id"]]
    else:
        found = [run for run in kfp.runs.values() if kfp.namespaces[run["run_id"]] == query["namespace"]]
    return page(found, "runs", "run_id", query, FIELDS)


def _create_recurring(kfp: "KfpServer", body: Object) -> Object:
    if not body.get("display_name"):
        raise RefusedError(400, "Recurring run's name cannot be empty")
    trigger, most = body.get("trigger") or {}, int(body.get("max_concurrency") or 0)
    if not 1 <= most <= 10:
        raise RefusedError(400, f"Max concurrency must be at least 1 and at most 10. Received {most}")
    cron = (trigger.get("cron_schedule") or {}).get("cron")
    if cron is not None and not _is_cron(cron):
        raise RefusedError(400, "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron).")
    source = _source(kfp, body)
    enabled = body.get("mode") == "ENABLE"
    found = {
        "recurring_run_id": kfp.new_id("recurring"),
        "display_name": body["display_name"],
        "description": body.get("description") or "",
        "experiment_id": _experiment(kfp, body),
        "created_at": stamp(kfp.tick()),
        "updated_at": stamp(kfp.now_s),
        "max_concurrency": str(most),
        "no_catchup": bool(body.get("no_catchup")),
        "trigger": trigger,
        "status": "ENABLED" if enabled else "DISABLED",
        "mode": "ENABLE" if enabled else "DISABLE",
        "service_account": body.get("service_account") or "pipeline-runner",
        "runtime_config": body.get("runtime_config") or {},
        **source,
    }
    kfp.recurring[found["recurring_run_id"]] = found
    kfp.note_enabled()
    return found


def _list_recurring(kfp: "KfpServer", query: Mapping[str, str]) -> Object:
    found = [one for one in kfp.recurring.values() if one["experiment_id"] == query.get("experiment_id")]
    return page(found, "recurringRuns", "recurring_run_id", query, RECURRING_FIELDS)


def _source(kfp: "KfpServer", body: Object) -> Object:
    """What a run is made of, checked against its parameters."""
    reference, spec = body.get("pipeline_version_reference"), body.get("pipeline_spec")
    if reference:
        version = kfp.versions.get(reference.get("pipeline_version_id", ""))
        if version is None or version["pipeline_id"] != reference.get("pipeline_id"):
            raise RefusedError(404, f"PipelineVersion {reference.get('pipeline_version_id')} not found")
        spec = version["pipeline_spec"]
    elif spec:
        specs.check(spec)
    else:
        raise RefusedError(400, "Cannot create a job with an empty pipeline ID")
    specs.check_parameters(spec, (body.get("runtime_config") or {}).get("parameters") or {})
    return {"pipeline_version_reference": reference} if reference else {"pipeline_spec": spec}


def _experiment(kfp: "KfpServer", body: Object) -> str:
    """A single-user installation puts what names none into its default experiment."""
    name = body.get("experiment_id") or ""
    if not name and kfp.multi_user:
        raise RefusedError(400, "Experiment id can not be empty in multi-user mode")
    if name and name not in kfp.experiments:
        raise missing("Experiment", name)
    return name or "default"


def _is_cron(text: str) -> bool:
    """Roughly what robfig/cron 1.2 reads: six fields, the first are seconds and the last may be left out; or a word."""
    fields = text.split()
    if text.startswith("@"):
        return text in ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
    tops = (59, 59, 23, 31, 12, 6)
    return len(fields) in (5, 6) and all(
        re.fullmatch(r"[\d*?/,A-Za-z-]+", field) and all(int(n) <= top for n in re.findall(r"\d+", field))
        for field, top in zip(fields, tops, strict=False)
    )
