"""A compiled pipeline on few lines: `python -m tests.orchestration.compiled` writes tests/orchestration/golden anew.

What changes with every line of code (hashes of images, the text of the components, the configuration of the steps) is
left out; whatever else this file does not know appears as it is.
"""

import functools
from pathlib import Path
from typing import Any

import yaml

import pipeline
from components.config import load
from components.orchestration.compile import Compiled, compile_pipeline

GOLDEN = Path(__file__).parent / "golden"
LONGEST = 40
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OLDER = ("cpuLimit", "cpuRequest", "memoryLimit", "memoryRequest")
"""The same resources, as numbers of cores and 10^9 bytes."""
Object = dict[str, Any]


@functools.cache
def compiled(folder: Path, *overrides: str, lock: Path | None = None, work: str | None = None) -> Compiled:
    return compile_pipeline(pipeline.draw, load(folder, overrides), work, lock)


def documents(found: Compiled) -> tuple[Object, Object]:
    """The specification, and what Kubernetes gets for each executor."""
    specification, platform = yaml.load_all(found.yaml, Loader=FAST)
    return specification, platform["platforms"]["kubernetes"]


def containers(found: Compiled) -> dict[str, Object]:
    """By step: its container, its settings for Kubernetes and how it is retried."""
    specification, kubernetes = documents(found)
    executors = specification["deploymentSpec"]["executors"]
    retries = {name: task.get("retryPolicy") for _, name, task in tasks(specification)}
    return {
        label.removeprefix("exec-"): {
            "container": executor["container"],
            "kubernetes": kubernetes["deploymentSpec"]["executors"][label],
            "retry": retries[label.removeprefix("exec-")],
        }
        for label, executor in executors.items()
        if "container" in executor
    }


def tasks(specification: Object) -> list[tuple[str, str, Object]]:
    """All tasks: the DAG that each stands in, its name, and itself."""
    dags = {"root": specification["root"], **specification["components"]}
    return [
        (dag, name, task)
        for dag, component in dags.items()
        for name, task in component.get("dag", {}).get("tasks", {}).items()
    ]


def summary(found: Compiled) -> str:
    specification, kubernetes = documents(found)
    executors = {step: _executor(step, one) for step, one in sorted(containers(found).items())}
    usual = _usual(list(executors.values()))
    whole = {
        "pipeline": {**specification["pipelineInfo"], **kubernetes["pipelineConfig"]},
        "parameters": specification["root"]["inputDefinitions"]["parameters"],
        "tasks": _dags(specification),
        "most executors": usual,
        "and": {step: _unusual(one, usual) for step, one in executors.items()},
    }
    return yaml.safe_dump(whole, sort_keys=False, width=120, allow_unicode=True)


def _usual(executors: list[Object]) -> Object:
    """What more than half of them have."""
    usual: Object = {}
    for one in executors:
        for key, value in one.items():
            if 2 * sum(other.get(key) == value for other in executors) > len(executors):
                usual[key] = value
    return usual


def _unusual(one: Object, usual: Object) -> Object:
    lacks = {key: "none" for key in usual if key not in one}
    return {key: value for key, value in one.items() if usual.get(key) != value} | lacks


def _executor(step: str, one: Object) -> Object:
    container = {key: value for key, value in one["container"].items() if key not in ("command", "args")}
    image, colon, _ = container.pop("image").partition(f"evergreen-python-{step}:")
    asked, kubernetes = container.pop("resources"), dict(one["kubernetes"])
    environment = {field["name"]: field["fieldPath"] for field in kubernetes.pop("fieldPathAsEnv")}
    return {
        "image": f"{image}evergreen-python-<step>{':<hash>' if colon else '?'}",
        "cpu": f"{asked.pop('resourceCpuRequest')} to {asked.pop('resourceCpuLimit')}",
        "memory": f"{asked.pop('resourceMemoryRequest')} to {asked.pop('resourceMemoryLimit')}",
        **{key: value for key, value in asked.items() if key not in OLDER},
        "retry": " ".join(str(value) for value in one["retry"].values()),
        **container,
        "environment": environment | _variables(kubernetes, "secret") | _variables(kubernetes, "configMap"),
        "folders": _folders(kubernetes),
        "labels": {
            key: "<step>" if value == step else value for key, value in kubernetes.pop("podMetadata")["labels"].items()
        },
        "node": kubernetes.pop("nodeSelector", {}).get("labels", {}),
        "tolerations": [" ".join(one.values()) for one in kubernetes.pop("tolerations", [])],
        "image pull secrets": [one["secretName"] for one in kubernetes.pop("imagePullSecret", [])],
        **kubernetes,
    }


def _variables(kubernetes: Object, kind: str) -> dict[str, str]:
    return {
        one["envVar"]: f"{kind} {entry[f'{kind}Name']}.{one[f'{kind}Key']}" + (" if there" * entry["optional"])
        for entry in kubernetes.pop(f"{kind}AsEnv", [])
        for one in entry["keyToEnv"]
    }


def _folders(kubernetes: Object) -> dict[str, str]:
    empty = {one["mountPath"]: f"empty, {one['sizeLimit']}" for one in kubernetes.pop("emptyDirMounts")}
    claims = {one["mountPath"]: f"claim {one['constant']}" for one in kubernetes.pop("pvcMount", [])}
    files = {
        one["mountPath"]: f"{kind} {one[f'{kind}Name']}" + (" if there" * one["optional"])
        for kind in ("secret", "configMap")
        for one in kubernetes.pop(f"{kind}AsVolume", [])
    }
    return empty | claims | files


def _dags(specification: Object) -> Object:
    dags: Object = {}
    for dag, name, task in tasks(specification):
        dags.setdefault(dag.removeprefix("comp-"), {})[name] = _task(task)
    return dags


def _task(task: Object) -> Object:
    told: Object = {}
    if task.get("cachingOptions", {}).get("enableCache") and "inputs" in task:
        told["cached"] = True
    if "dependentTasks" in task:
        told["after"] = ", ".join(task["dependentTasks"])
    if "triggerPolicy" in task:
        told["when"] = " ".join(task["triggerPolicy"].values())
    if "parameterIterator" in task:
        told["items"] = len(yaml.safe_load(task["parameterIterator"]["items"]["raw"]))
    given = task.get("inputs", {})
    told["inputs"] = {
        name: _source(source)
        for kind in ("parameters", "artifacts")
        for name, source in given.get(kind, {}).items()
        if not name.startswith("pipelinechannel--")
    }
    return told


def _source(source: Object) -> str:
    (value,) = source.values()
    if isinstance(value, str):
        return value.removeprefix("pipelinechannel--")
    if "producerTask" in value:
        return ".".join(value[key] for key in sorted(value, reverse=True)).removeprefix("pipelinechannel--")
    constant = str(value["constant"])
    return f"= {constant}" if len(constant) < LONGEST and not _is_hash(constant) else "= …"


def _is_hash(text: str) -> bool:
    return len(text) == 16 and set(text) <= set("0123456789abcdef")


if __name__ == "__main__":
    (GOLDEN / "pipeline.yaml").write_text(summary(compiled(GOLDEN)))
