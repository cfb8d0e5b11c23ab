"""Rendered manifests, strictly: every object against the schemas that there are for its kind.

| kinds | against |
|---|---|
| of Kubernetes | `kubernetes-validate`, of the oldest and the newest version that is meant |
| of KServe, KFP and the training operator | the CRDs in a folder, and the models of `kserve` and `kubeflow-training` |
| of the Prometheus operator | `monitoring.py` |

What is not installed is left out, and said.
"""

import base64
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests import crds, models, monitoring

Object = dict[str, Any]
CRDS = Path(__file__).parents[2] / "shared" / "crds"
KUBERNETES = ("1.30", "1.37")
CUSTOM_GROUPS = ("serving.kserve.io", "kubeflow.org", "pipelines.kubeflow.org", "monitoring.coreos.com")
NEEDS_PROMTOOL = "the expressions of alerts were not parsed: promtool is not installed (Debian: prometheus)"


@dataclass
class Findings:
    """What a check found, in sentences."""

    problems: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    """What could not be checked, and how it can."""


def check(objects: Iterable[Object], folder: Path = CRDS) -> Findings:
    """Checks objects.

    Args:
        objects: as kustomize renders them.
        folder: where the CRDs lie.
    """
    findings = Findings()
    seen = set()
    for found in objects:
        key = tuple(found.get(name) for name in ("apiVersion", "kind")), *_identity(found)
        problems = _custom(found, folder, findings) if is_custom(found) else _core(found)
        if key in seen:
            problems.append("there are two of that name")
        seen.add(key)
        findings.problems += [f"{title(found)}: {problem}" for problem in problems]
    return findings


def empty_secrets(objects: Iterable[Object]) -> list[str]:
    """Values of Secrets that an overlay has left empty."""
    return [
        f"{title(found)}: {key} is empty; fill it by the overlay's secretGenerator"
        for found in objects
        if found.get("kind") == "Secret"
        for key, value in found.get("data", {}).items()
        if not base64.b64decode(value or "").strip()
    ]


def is_custom(found: Object) -> bool:
    """Whether an object is of a kind that Kubernetes itself does not have."""
    return str(found.get("apiVersion")).partition("/")[0] in CUSTOM_GROUPS


def title(found: Object) -> str:
    """An object's kind and name."""
    return f"{found.get('kind')} {_identity(found)[1]}"


def _identity(found: Object) -> tuple[str, str]:
    metadata = found.get("metadata") or {}
    return str(metadata.get("namespace")), str(metadata.get("name"))


def _core(found: Object) -> list[str]:
    import kubernetes_validate

    problems = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(map(str, error.absolute_path)) or "the object"
            problems.append(f"{place}: {error.message} (Kubernetes {version})")
        except kubernetes_validate.SchemaNotFoundError:
            problems.append(f"Kubernetes {version} has no {found.get('kind')} of {found.get('apiVersion')}")
    return problems


def _custom(found: Object, folder: Path, findings: Findings) -> list[str]:
    key = (str(found["apiVersion"]), str(found["kind"]))
    if key in monitoring.SCHEMAS:
        return _monitored(found, monitoring.SCHEMAS[key], findings)
    ways = [_by_crd(found, key, folder, findings), _by_model(found, key, findings)]
    if all(way is None for way in ways):
        findings.skipped.add(f"{title(found)} was not checked at all: there is neither its CRD nor its model")
    return [problem for way in ways if way is not None for problem in way]


def _by_crd(found: Object, key: tuple[str, str], folder: Path, findings: Findings) -> list[str] | None:
    schema = crds.schemas(folder).get(key)
    if schema is None:
        findings.skipped.add(f"{key[1]} was not checked against its CRD: {_named(folder)} has none of {key[0]}")
        return None
    return crds.problems(found, schema)


def _by_model(found: Object, key: tuple[str, str], findings: Findings) -> list[str] | None:
    if key not in models.CLASSES:
        return None
    module = models.module_of(*key)
    if module is None:
        package = models.CLASSES[key][0]
        findings.skipped.add(f"{key[1]} was not checked against its model: {package} is not installed")
        return None
    return models.problems(found, module)


def _monitored(found: Object, schema: Object, findings: Findings) -> list[str]:
    problems = crds.problems(found, schema)
    if problems or found["kind"] != "PrometheusRule":
        return problems
    program = monitoring.promtool()
    if program is None:
        findings.skipped.add(NEEDS_PROMTOOL)
        return []
    return monitoring.problems(found, program)


@functools.cache
def _named(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}" + ("" if folder.is_dir() else ", which is not there,")
