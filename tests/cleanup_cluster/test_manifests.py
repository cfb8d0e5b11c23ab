"""The CronJob that cleans up every night, and the account that it runs as."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cleanup.__main__ import _parser as store_parser
from components.cleanup.kubeflow.__main__ import _parser as cluster_parser
from components.kubernetes.tfjob import OURS, RUN
from tests.cleanup_cluster.conftest import PIPELINE, Place
from tests.kfp_server.server import API
from tests.kubernetes.api_server import JOBS

FOLDER = Path(__file__).parents[2] / "manifests" / "base" / "cleanup"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [found for path in FILES for found in yaml.safe_load_all(path.read_text())]


def kind(name: str) -> dict[str, Any]:
    (found,) = [one for one in OBJECTS if one["kind"] == name]
    return found


def job() -> dict[str, Any]:
    return kind("CronJob")["spec"]["jobTemplate"]["spec"]


def pod() -> dict[str, Any]:
    return job()["template"]["spec"]


def containers() -> list[dict[str, Any]]:
    return pod()["containers"]


@pytest.mark.parametrize("version", ["1.27", "1.37"])
@pytest.mark.parametrize("found", OBJECTS, ids=[found["kind"] for found in OBJECTS])
def test_every_object_is_valid(found: dict[str, Any], version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(found, version, strict=True)


def test_the_kustomization_names_every_file() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == [path.name for path in FILES]


def test_one_cleanup_at_a_time_that_ends_and_goes() -> None:
    assert kind("CronJob")["spec"]["concurrencyPolicy"] == "Forbid"
    assert job()["activeDeadlineSeconds"] and job()["ttlSecondsAfterFinished"]
    assert pod()["restartPolicy"] == "Never"


def test_one_command_that_fails_does_not_keep_the_other_from_its_turn() -> None:
    assert "initContainers" not in pod() and len(containers()) == 2


def test_the_pod_is_confined() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {volume["name"]: "emptyDir" in volume for volume in pod()["volumes"]}["tmp"]
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert ("tmp", "/tmp") in [(mount["name"], mount["mountPath"]) for mount in container["volumeMounts"]]


def test_the_commands_are_understood() -> None:
    variables = {literal.partition("=")[0] for literal in KUSTOMIZATION["configMapGenerator"][0]["literals"]}
    parsers = {"components.cleanup": store_parser(), "components.cleanup.kubeflow": cluster_parser()}
    for container in containers():
        assert container["command"][:2] == ["python", "-m"]
        options = parsers.pop(container["command"][2]).parse_args(container["command"][3:])
        assert options.all and not options.dry_run
        used = {part.partition(")")[0] for word in container["command"] for part in word.split("$(")[1:]}
        assert used <= variables | {variable["name"] for variable in container["env"]}
    assert not parsers


def test_the_role_allows_what_is_asked_for_and_no_more(place: Place) -> None:
    for number in range(4):
        place.run(f"run-{number}", 100 + number)
    place.kfp.run("working", place.now_s, state="RUNNING")
    metadata = {"name": "old", "labels": {**OURS, RUN: "run-1"}, "resourceVersion": "0"}
    place.kubernetes.jobs["old"] = {"metadata": metadata, "spec": {}}
    assert place.main() == 0
    assert PIPELINE in place.kfp.pipelines and not place.kubernetes.jobs
    asked = {("pipelines.kubeflow.org", *_verb(method, path, f"{API}/")) for method, path, _ in place.kfp.requests}
    asked |= {
        ("kubeflow.org", *_verb(method, path, JOBS[: -len("tfjobs")])) for method, path, *_ in place.kubernetes.requests
    }
    allowed = {
        (group, resource, verb)
        for rule in kind("Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert asked == allowed


def _verb(method: str, path: str, root: str) -> tuple[str, str]:
    resource, _, name = path.removeprefix(root).partition("/")
    return resource, "delete" if method == "DELETE" else "get" if name else "list"
