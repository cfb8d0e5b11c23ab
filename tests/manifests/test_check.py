"""The rendered manifests are valid, and what is not is told."""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.train import tfjob_manifest
from components.train.tfjob_config import TFJobSettings
from manifests import models
from manifests.check import CRDS, CUSTOM_GROUPS, Findings, check, empty_secrets, is_custom
from tests.kubernetes.api_server import step_pod
from tests.manifests.found import Object, one

FREE = {"annotations", "labels", "matchLabels", "data", "metadata", "requests", "limits", "hard", "nodeSelector"}
"""Fields whose keys are the user's."""


def test_every_object_is_valid(objects: list[Object]) -> None:
    findings = check(objects)
    for sentence in findings.skipped:
        warnings.warn(sentence, stacklevel=1)
    assert not findings.problems
    assert {each["kind"] for each in objects if is_custom(each)} >= {"ServingRuntime", "InferenceService"}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every object inside an object that has fields of a schema."""
    if isinstance(node, dict):
        yield path
        for key, item in node.items():
            if key not in FREE:
                yield from places(item, (*path, key))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from places(item, (*path, index))


def test_an_unknown_field_anywhere_in_a_custom_resource_is_a_problem(base: list[Object]) -> None:
    checked = 0
    for found in filter(is_custom, base):
        if check([found]).skipped and not _has_any_schema(found):
            pytest.skip(f"{found['kind']}: neither its CRD nor its model is there; pip install kserve")
        for place in places({"spec": found["spec"]}):
            changed = copy.deepcopy(found)
            at: Any = changed
            for key in place:
                at = at[key]
            at["surelyUnknown"] = {}
            problems = check([changed]).problems
            assert problems and "surelyUnknown" in problems[0], (found["kind"], place)
            checked += 1
    assert checked > 50


def _has_any_schema(found: Object) -> bool:
    group = found["apiVersion"].partition("/")[0]
    return group == "monitoring.coreos.com" or models.module_of(found["apiVersion"], found["kind"]) is not None


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("Deployment", "evergreen-s3", ("spec", "template", "spec", "containers", 0)),
        ("CronJob", "evergreen-cleanup", ("spec", "jobTemplate", "spec", "template", "spec")),
        ("HorizontalPodAutoscaler", "flights", ("spec", "behavior", "scaleUp")),
        ("PodDisruptionBudget", "flights", ("spec",)),
        ("NetworkPolicy", "evergreen-serving", ("spec", "ingress", 0)),
        ("Role", "evergreen-pipeline", ("rules", 0)),
        ("PersistentVolumeClaim", "evergreen-s3", ("spec",)),
    ],
)
def test_an_unknown_field_in_a_kind_of_kubernetes_is_a_problem(
    local: list[Object], kind: str, name: str, path: tuple[Any, ...]
) -> None:
    changed = copy.deepcopy(one(local, kind, name))
    at: Any = changed
    for key in path:
        at = at[key]
    at["surelyUnknown"] = 1
    assert any("surelyUnknown" in problem for problem in check([changed]).problems)


@pytest.mark.parametrize(
    ("kind", "name", "path", "wrong"),
    [
        ("HorizontalPodAutoscaler", "flights", ("spec", "minReplicas"), "two"),
        ("InferenceService", "flights", ("spec", "predictor", "terminationGracePeriodSeconds"), "45"),
        ("InferenceService", "flights", ("spec", "predictor", "deploymentStrategy", "type"), 1),
        ("InferenceService", "flights", ("spec", "predictor", "topologySpreadConstraints"), {}),
        ("ServingRuntime", "evergreen", ("spec", "containers", 0, "args"), ["--port", 8080]),
        ("ServingRuntime", "evergreen", ("spec", "supportedModelFormats", 0, "autoSelect"), "no"),
        ("ServiceMonitor", "evergreen-serving", ("spec", "endpoints", 0, "interval"), "half a minute"),
        ("PrometheusRule", "evergreen-serving", ("spec", "groups", 0, "rules"), []),
    ],
)
def test_a_wrong_value_is_a_problem(
    base: list[Object], kind: str, name: str, path: tuple[Any, ...], wrong: Any
) -> None:
    changed = copy.deepcopy(one(base, kind, name))
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = wrong
    (problem, *_) = check([changed]).problems
    assert problem.startswith(f"{kind} {name}: {'.'.join(map(str, path))}")


def test_what_the_training_step_makes_is_valid_by_the_definition_and_by_the_model() -> None:
    settings = TFJobSettings(cpu="1", memory="2Gi", gpus=1, node_selector={"pool": "gpu"}, max_hours=2)
    job = tfjob_manifest.tfjob(step_pod(), ["-m", "components.train"], {"Chief": 1, "Worker": 2}, "k", "r", settings)
    findings = check([job])
    if findings.skipped:
        pytest.skip("; ".join(findings.skipped))
    assert not findings.problems
    job["spec"]["tfReplicaSpecs"]["Worker"]["restartPolcy"] = "Never"
    ways = check([job]).problems
    assert len(ways) == 2 and all("restartPolcy" in problem for problem in ways)


@pytest.mark.parametrize("kind", ["Pipeline", "PipelineVersion"])
def test_resources_of_pipelines_are_checked_against_their_definitions(kind: str) -> None:
    if not CRDS.is_dir():
        pytest.skip("../shared/crds is not there: resources of KFP are not checked")
    found = {"apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": kind, "metadata": {"name": "a"}, "spec": {"x": 1}}
    assert any("'x' was unexpected" in problem for problem in check([found]).problems)


def test_what_cannot_be_checked_is_said(base: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "module_of", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = " ".join(sorted(check(base, tmp_path / "crds").skipped))
    for part in (
        "InferenceService was not checked against its CRD",
        "InferenceService was not checked against its model: kserve is not installed",
        "InferenceService flights was not checked at all",
        "promtool is not installed",
    ):
        assert part in said


def test_a_kind_that_does_not_exist_and_a_second_of_a_name_are_problems(base: list[Object]) -> None:
    budget = one(base, "PodDisruptionBudget", "flights")
    assert "there are two of that name" in check([budget, copy.deepcopy(budget)]).problems[0]
    wrong = {**budget, "apiVersion": "policy/v1beta1"}
    assert "has no PodDisruptionBudget of policy/v1beta1" in check([wrong]).problems[0]


def test_groups_of_others_are_no_custom_resources_of_ours(base: list[Object]) -> None:
    groups = {each["apiVersion"].partition("/")[0] for each in base if not is_custom(each)}
    assert not groups & set(CUSTOM_GROUPS) and "rbac.authorization.k8s.io" in groups


def test_a_secret_left_empty_is_told(base: list[Object], local: list[Object]) -> None:
    assert len(empty_secrets(base)) == 4
    assert "Secret evergreen-s3: AWS_ACCESS_KEY_ID is empty" in empty_secrets(base)[0]
    assert not empty_secrets(local)


def test_findings_of_nothing_are_empty() -> None:
    assert check([]) == Findings()
