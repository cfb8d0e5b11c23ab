"""The accounts may do what the code asks the API server for, and no more."""

from typing import Any

import pytest

from components.deploy.manifest import created
from components.kubernetes import api
from components.kubernetes.api import Cluster
from components.kubernetes.connection import connect
from components.kubernetes.inference_service import InferenceServiceApi
from components.kubernetes.tfjob import OURS
from components.train import tfjob_manifest
from components.train.tfjob_config import TFJobSettings
from tests.kubernetes.api_server import EVENTS, JOBS, NAMESPACE, PODS, STEP, ApiServer, kubeconfig, step_pod
from tests.kubernetes.inference_services import SERVICES, InferenceServer
from tests.manifests.found import Object, one


def allowed(role: Object) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_no_role_has_a_wildcard(objects: list[Object]) -> None:
    for role in (each for each in objects if each["kind"] in ("Role", "ClusterRole")):
        assert role["kind"] == "Role"
        assert not {"*"} & {part for one_right in allowed(role) for part in one_right}


def test_the_runs_account_may_do_what_training_asks_for(
    base: list[Object], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ApiServer() as server:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        monkeypatch.setenv("KFP_POD_NAME", STEP)
        monkeypatch.setattr(api, "POLL_S", 0.05)
        _ask_for_all(connect(), server)
        asked = {_right(method, path, query) for method, path, query, _ in server.requests}
    rights = allowed(one(base, "Role", "evergreen-pipeline"))
    assert asked <= rights
    assert asked >= {right for right in rights if right[0] == "kubeflow.org"}, "a right that nobody uses"


def test_the_runs_account_may_do_what_deploying_asks_for(
    base: list[Object], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InferenceServer() as server:
        server.behave = lambda *_: None
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        service = InferenceServiceApi(connect().api, NAMESPACE, "flights")
        model = {"modelFormat": {"name": "tflite"}, "storageUri": "s3://bucket/1"}
        service.create(created("flights", NAMESPACE, {"predictor": {"model": model}}))
        found = service.find()
        assert found is not None
        service.replace(found)
        service.pods()
        service.delete(service.find() or {})
        asked = {_right(method, path, query) for method, path, query, _ in server.requests}
    rights = allowed(one(base, "Role", "evergreen-pipeline"))
    assert asked <= rights
    assert asked >= {right for right in rights if right[0] == "serving.kserve.io"}, "a right that nobody uses"


def _ask_for_all(cluster: Cluster, server: ApiServer) -> None:
    job = tfjob_manifest.tfjob(step_pod(), ["-m", "x"], {"Worker": 2}, "key", "run", TFJobSettings())
    name = job["metadata"]["name"]
    cluster.create(job)
    (pod, *_) = server.make_pods(name)
    server.write(pod, "a line")
    found = cluster.find(name)
    assert found is not None
    cluster.own_pod()
    cluster.jobs(OURS)
    cluster.pods(name)
    cluster.warnings(name)
    cluster.last_words(pod)
    cluster.give_to(tfjob_manifest.owner(step_pod()), name, {})
    server.condition(name, "Succeeded")
    cluster.wait_for_change({**found, "metadata": {**found["metadata"], "resourceVersion": "0"}})
    cluster.delete(name)


def _right(method: str, path: str, query: dict[str, str]) -> tuple[str, str, str]:
    roots = {
        JOBS: ("kubeflow.org", "tfjobs"),
        SERVICES: ("serving.kserve.io", "inferenceservices"),
        PODS: ("", "pods"),
        EVENTS: ("", "events"),
    }
    root = next(root for root in roots if path.startswith(root))
    group, resource = roots[root]
    name, _, inside = path.removeprefix(root).strip("/").partition("/")
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    reading = "get" if name else "watch" if "watch" in query else "list"
    return group, f"{resource}/{inside}" if inside else resource, verbs.get(method, reading)
