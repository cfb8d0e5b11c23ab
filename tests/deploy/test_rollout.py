"""Deploying on a cluster: the InferenceService of a stand-in API server over HTTP, the store in a bucket."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.deploy.__main__ import main
from components.deploy.config import Deploy, DeployConfig
from components.deploy.deploy import deploy
from components.deploy.rollout import Rollout, recorded
from components.errors import UserError
from components.kubernetes import asking
from components.storage.open import open_storage
from components.store import verify
from components.store.rollouts import Rollouts
from tests.deploy.made import MODEL, ORIGIN, QUESTIONS, make_sources, roll_out
from tests.kubernetes.api_server import NAMESPACE, PODS, Object, status
from tests.kubernetes.inference_services import (
    CRD,
    SERVICES,
    VERSION_LABEL,
    InferenceServer,
    comes_up,
    never_comes_up,
)

SERVICE = f"{SERVICES}/{MODEL}"
SHORT = 0.01
"""Minutes to wait for what never comes."""
FORBIDDEN = status(403, "forbidden: x", "Forbidden")


@pytest.fixture
def go(tmp_path: Path, work: str, server: InferenceServer) -> Callable[..., None]:
    """Deploys model `number` in place of a version; of the one before it, unless another is given."""

    def deployed(number: int, compared_with: int | None = None, **settings: Any) -> None:
        roll_out(tmp_path, work, number, compared_with or number - 1 or None, **settings)

    return deployed


def served(server: InferenceServer) -> str:
    """The storageUri that the InferenceService has."""
    return server.services[MODEL]["spec"]["predictor"]["model"]["storageUri"]


def changes(server: InferenceServer) -> list[str]:
    """The methods of the requests that changed something."""
    return [method for method, path, *_ in server.requests if method in ("POST", "PUT", "DELETE") and path[:3] != "/v1"]


# What a deployment does.


@pytest.mark.parametrize("work", ["bucket"], indirect=True)
def test_the_first_version_gets_an_inference_service(go, server, store: Rollouts, work: str) -> None:
    go(1, service_account="reader", min_replicas=1, max_replicas=3, cpu="500m", memory="1Gi")
    made = server.services[MODEL]
    assert made["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}
    predictor = made["spec"]["predictor"]
    assert predictor["model"] == {
        "modelFormat": {"name": "tflite"},
        "protocolVersion": "v1",
        "runtime": "evergreen",
        "storageUri": f"{work}/models/{MODEL}/versions/1/serving",
        "resources": {part: {"cpu": "500m", "memory": "1Gi"} for part in ("requests", "limits")},
    }
    label = f"1-{store.version(1).lineage['model_digest'][:12]}"
    assert predictor["labels"] == {VERSION_LABEL: label}
    assert (predictor["serviceAccountName"], predictor["minReplicas"], predictor["maxReplicas"]) == ("reader", 1, 3)
    assert store.number("serving") == 1 and store.number("candidate") is None
    asked = [body["instances"] for _, body in server.seen("POST", f"/v1/models/{MODEL}:predict")]
    assert asked[-len(QUESTIONS) :] == [[question.instance] for question in QUESTIONS]


def test_a_version_carries_what_was_recorded_and_what_the_mounted_folder_must_tell(go, store: Rollouts) -> None:
    go(1)
    version = store.version(1)
    verify(version)
    recorded = json.loads(version.read("recorded_requests.json"))["requests"]
    assert [one["expected"] for one in recorded] == [0.25, 0.75]
    # KServe mounts this folder alone.
    assert json.loads(version.read("serving/lineage.json"))["version"] == 1
    assert version.read("serving/model.yaml") == version.read("model.yaml")


@pytest.mark.skipif(not CRD.exists(), reason=f"{CRD.name} of KServe is not in ../shared/crds: put it there")
def test_the_stand_in_refuses_what_kserve_does_not_know(server: InferenceServer) -> None:
    body = {"metadata": {"name": "x"}, "spec": {"predictor": {"modle": {}}}}
    assert "'modle' was unexpected" in server.make(body)["message"]


@pytest.mark.parametrize("work", ["bucket"], indirect=True)
def test_the_next_version_changes_what_it_must_and_nothing_else(go, server, store: Rollouts) -> None:
    go(1, memory="1Gi", max_replicas=2)
    held = server.services[MODEL]
    held["metadata"]["annotations"]["team"] = "a"
    held["spec"]["predictor"].update(timeout=30, labels={**held["spec"]["predictor"]["labels"], "cost": "x"})
    held["spec"]["transformer"] = {"minReplicas": 2}
    go(2, max_replicas=5)
    spec = server.services[MODEL]["spec"]
    assert served(server).endswith("/versions/2/serving")
    assert spec["predictor"]["labels"][VERSION_LABEL].startswith("2-") and spec["predictor"]["labels"]["cost"] == "x"
    assert (spec["predictor"]["timeout"], spec["predictor"]["maxReplicas"]) == (30, 5)
    assert spec["predictor"]["model"]["resources"]["limits"] == {"memory": "1Gi"}
    assert spec["transformer"] == {"minReplicas": 2}
    assert store.number("serving") == 2 and store.number("previous") == 1 and store.number("candidate") is None


def test_a_repeated_deployment_changes_nothing(go, server, store: Rollouts) -> None:
    go(1)
    before = changes(server)
    go(1)
    assert changes(server) == before
    assert [version.number for version in store.versions()] == [1] and store.number("candidate") is None


def test_pods_that_still_serve_the_old_version_are_waited_for(go, server, store: Rollouts) -> None:
    """KServe calls an InferenceService ready while its old pods answer."""
    go(1)
    seen = []

    def slowly(server: InferenceServer, service: Object) -> None:
        for _ in range(3):
            server.show(MODEL)
            rounds(server)
            seen.append((store.number("serving"), store.number("candidate")))
        server.start_pods(service)
        rounds(server)
        seen.append((store.number("serving"), store.number("candidate")))
        server.stop_others(service)

    server.behave = slowly
    go(2)
    assert seen == [(1, 2)] * 4
    assert store.number("serving") == 2


def test_an_old_pod_that_still_answers_is_asked_again(go, server, store: Rollouts) -> None:
    """Where endpoints are behind the pods, the version that answers tells."""
    go(1)
    real, late = server.answering, []

    def answering() -> Object | None:
        late.append(1)
        return old if len(late) < 3 else real()

    old = real()
    server.answering = answering
    go(2)
    assert len(late) > 3 and store.number("serving") == 2


def rounds(server: InferenceServer, times: int = 3) -> None:
    """Waits until the pods were looked at some more times."""
    looks = len(server.seen("GET", PODS))
    wait_until(lambda: len(server.seen("GET", PODS)) >= looks + times)


def wait_until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.005)


# What it does with a version that does not serve.


def test_a_version_that_does_not_come_up_is_taken_back(go, server, store: Rollouts) -> None:
    go(1, memory="1Gi")
    before = server.services[MODEL]["spec"]
    server.behave = never_comes_up
    message = (
        rf"InferenceService {NAMESPACE}/m did not serve version 2 within 0.01 minutes \(pod m-predictor-\d+: "
        r"ImagePullBackOff: Back-off pulling image \"x\"\); InferenceService team/m is back at version 1; mend that"
    )
    with pytest.raises(UserError, match=message) as caught:
        go(2, memory="8Gi", wait_minutes=SHORT)
    assert "\n" not in str(caught.value)
    assert server.services[MODEL]["spec"] == before, "with the resources that it had"
    assert store.number("serving") == 1 and store.number("candidate") is None
    assert store.withdrawal().startswith("version 2 was withdrawn: InferenceService team/m did not serve")
    server.behave = comes_up
    go(2)
    assert store.number("serving") == 2 and len(store.versions()) == 2, "a later try may come up"
    assert store.withdrawal() == ""


def test_a_version_that_answers_wrongly_is_taken_back_at_once(go, server, store: Rollouts) -> None:
    go(1)

    def wrong(server: InferenceServer, service: Object) -> None:
        server.wrong = 0.01 if "/2/" in service["spec"]["predictor"]["model"]["storageUri"] else 0.0
        comes_up(server, service)

    server.behave = wrong
    message = (
        r"version 2 answers recorded request 0 with .*0.26.*, but the artifact itself "
        r"predicts 0.25; deploy.inference_service.tolerance allows 0.001; InferenceService team/m is back at version 1"
    )
    with pytest.raises(UserError, match=message):
        go(2)
    assert served(server).endswith("/1/serving") and store.number("serving") == 1


def test_a_difference_within_the_tolerance_is_right(go, server, store: Rollouts) -> None:
    server.wrong = 0.01
    go(1, tolerance=0.02)
    assert store.number("serving") == 1


def test_a_server_that_does_not_say_its_version_is_believed_when_right_alone(go, server, store: Rollouts) -> None:
    server.says_version = False
    go(1)
    server.wrong = 0.01
    with pytest.raises(UserError, match=r"did not serve version 2 within .*answers recorded request 0"):
        go(2, wait_minutes=SHORT)
    assert store.number("serving") == 1


def test_an_inference_service_that_served_nothing_before_is_removed(go, server, store: Rollouts) -> None:
    server.behave = never_comes_up
    with pytest.raises(UserError, match="InferenceService team/m is removed, for no version was in service; mend"):
        go(1, wait_minutes=SHORT)
    assert not server.services
    assert store.number("serving") is None and store.number("candidate") is None


def test_an_inference_service_from_a_manifest_is_put_back_as_it_was(go, server, store: Rollouts) -> None:
    spec = {"predictor": {"model": {"modelFormat": {"name": "tflite"}, "storageUri": "s3://somewhere/else"}}}
    server.make({"metadata": {"name": MODEL}, "spec": spec})
    server.behave = never_comes_up
    with pytest.raises(UserError, match="InferenceService team/m is as it was before"):
        go(1, wait_minutes=SHORT)
    assert server.services[MODEL]["spec"] == spec
    server.behave = comes_up
    go(1)
    assert store.number("serving") == 1 and served(server).endswith("/1/serving")


def test_what_was_put_back_is_looked_at_too(go, server, store: Rollouts) -> None:
    go(1)

    def nothing_comes(server: InferenceServer, service: Object) -> None:
        server.model_pods.clear()

    server.behave = nothing_comes
    with pytest.raises(UserError, match=r"back at version 1, which does not serve either \(no pod of version 1"):
        go(2, wait_minutes=SHORT)


def test_it_goes_back_to_what_is_in_service_and_not_to_what_was_there(go, server, store: Rollouts) -> None:
    go(1)
    go(2)
    store.rollback()  # by hand: the InferenceService is at version 2 still
    server.behave = never_comes_up
    with pytest.raises(UserError, match="is back at version 1"):
        go(3, 1, wait_minutes=SHORT)
    assert served(server).endswith("/1/serving")


def test_a_version_that_came_into_service_meanwhile_stays(go, server, store: Rollouts) -> None:
    go(1)
    go(2)
    store.rollback()

    def meanwhile(server: InferenceServer, service: Object) -> None:
        if store.number("serving") == 1:
            store.point("serving", store.version(2))
        comes_up(server, service)

    server.behave = meanwhile
    message = "version 2 went into service while this run compared its model with version 1; run again; .* at version 2"
    with pytest.raises(UserError, match=message):
        go(3, 1, wait_minutes=SHORT)
    assert served(server).endswith("/2/serving") and store.number("serving") == 2


# Others, who are at it too.


def test_two_deployments_at_once_do_not_fight(go, server, store: Rollouts, monkeypatch) -> None:
    go(1)
    second: list[str] = []

    def meanwhile(server: InferenceServer, service: Object) -> None:
        if "/2/" not in service["spec"]["predictor"]["model"]["storageUri"] or second:
            return
        monkeypatch.setenv("EVERGREEN_RUN", "run-2")
        try:
            go(3, 1)
        except UserError as error:
            second.append(str(error))
        monkeypatch.setenv("EVERGREEN_RUN", "run-1")
        comes_up(server, service)

    server.behave = meanwhile
    go(2)
    assert second and second[0].startswith("run run-1 is putting version 2 into service; run again when it has ended")
    assert store.number("serving") == 2 and served(server).endswith("/2/serving") and store.number("candidate") is None


def test_a_dead_runs_work_is_taken_over_and_undone(go, server, store: Rollouts, monkeypatch) -> None:
    go(1, memory="1Gi")
    before = server.services[MODEL]["spec"]
    with monkeypatch.context() as dead:
        # As a kill leaves it.
        dead.setattr(Rollout, "_prove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        dead.setattr(Rollout, "_undo", lambda self, error: "")
        with pytest.raises(KeyboardInterrupt):
            go(2, memory="8Gi")
    assert served(server).endswith("/2/serving") and store.number("candidate") == 2
    monkeypatch.setenv("EVERGREEN_RUN", "run-2")
    with pytest.raises(UserError, match="run run-1 is putting version 2 into service"):
        go(3, 1)
    expire(store)
    server.behave = never_comes_up
    with pytest.raises(UserError, match="is back at version 1"):
        go(3, 1, wait_minutes=SHORT)
    assert server.services[MODEL]["spec"] == before, "not what the dead run had made of it"


def test_what_a_dead_run_left_is_kept_and_put_back_though_nothing_could_be_changed(
    go, server, store: Rollouts, monkeypatch
) -> None:
    go(1, memory="1Gi")
    before = server.services[MODEL]["spec"]
    with monkeypatch.context() as dead:
        dead.setattr(Rollout, "_prove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        dead.setattr(Rollout, "_undo", lambda self, error: "")  # as a kill leaves it
        with pytest.raises(KeyboardInterrupt):
            go(2, memory="8Gi")
    monkeypatch.setenv("EVERGREEN_RUN", "run-2")
    expire(store)
    named: list[set[int]] = []

    def refused_once(method: str, path: str, query: dict[str, str]) -> Any:
        if (method, path) != ("PUT", SERVICE) or named:
            return None
        named.append(set(store.named()))
        return FORBIDDEN

    server.fault = refused_once
    with pytest.raises(UserError, match=r"may not change InferenceService team/m .* is back at version 1"):
        go(3, 1)
    assert named == [{1, 2, 3}], "the cluster serves version 2 still"
    assert server.services[MODEL]["spec"] == before and store.number("candidate") is None


def expire(store: Rollouts) -> None:
    """Lets the time pass after which a run is taken for dead."""
    key = f"{store.prefix}/pointers/candidate.json"
    cell = store.storage.cell(key)
    assert cell is not None
    found = json.loads(cell.content)
    found["rollout"]["until_s"] = time.time() - 1
    assert store.storage.swap(key, json.dumps(found).encode(), cell.tag)


def test_what_somebody_else_made_of_it_is_left(go, server, store: Rollouts) -> None:
    go(1)

    def edited(server: InferenceServer, service: Object) -> None:
        with server.changed:
            server.services[MODEL]["spec"]["predictor"]["model"]["storageUri"] = "s3://by/hand"

    server.behave = edited
    with pytest.raises(UserError, match="somebody else changed InferenceService team/m while version 2 was on its way"):
        go(2)
    assert served(server) == "s3://by/hand" and store.number("serving") == 1 and store.number("candidate") is None


def test_a_change_of_the_status_between_reading_and_writing_is_no_harm(go, server, store: Rollouts) -> None:
    go(1)
    left = [5]

    def restamp(method: str, path: str) -> None:
        if (method, path) == ("GET", SERVICE) and left[0]:
            left[0] -= 1
            server.show(MODEL)

    server.answered = restamp
    go(2)
    assert not left[0] and store.number("serving") == 2


def test_one_that_is_being_deleted_is_waited_for(go, server, store: Rollouts) -> None:
    go(1)
    server.services[MODEL]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def gone() -> None:
        wait_until(lambda: len(server.seen("GET", SERVICE)) > looks + 3)
        server.remove(MODEL, None)

    looks = len(server.seen("GET", SERVICE))
    thread = threading.Thread(target=gone)
    thread.start()
    go(2)
    thread.join()
    assert store.number("serving") == 2 and "deletionTimestamp" not in server.services[MODEL]["metadata"]


# An API server that is away, or refuses.


@pytest.mark.parametrize("fault", [503, 429, "drop"])
def test_a_short_outage_at_every_request_is_waited_for(go, server, store: Rollouts, fault: Any) -> None:
    go(1)
    asked: list[int] = []

    def every_other(method: str, path: str, query: dict[str, str]) -> Any:
        asked.append(1)
        return fault if len(asked) % 2 and path[:3] != "/v1" else None

    server.fault = every_other
    go(2)
    assert store.number("serving") == 2


def test_answers_that_get_lost_are_no_harm(go, server, store: Rollouts) -> None:
    lost: set[tuple[str, str]] = set()

    def lose(method: str, path: str) -> str | None:
        if (method, path) in lost:
            return None
        lost.add((method, path))
        return "drop"

    server.answered = lose
    go(1)
    lost.clear()
    go(2)
    assert store.number("serving") == 2 and [version.number for version in store.versions()] == [1, 2]


def test_a_long_outage_leaves_a_version_that_may_be_in_use_named(go, server, store: Rollouts, monkeypatch) -> None:
    go(1)
    monkeypatch.setattr(asking, "OUTAGE_S", 0.2)
    server.behave = lambda server, service: setattr(server, "fault", lambda *_: 503)
    with pytest.raises(UserError, match=r"the API server of Kubernetes was away for .* run again when it is back"):
        go(2)
    assert served(server).endswith("/2/serving") and store.number("candidate") == 2 and store.number("serving") == 1
    server.fault = lambda *_: None
    comes_up(server, server.services[MODEL])
    go(2)
    assert store.number("serving") == 2 and store.number("candidate") is None


@pytest.mark.parametrize(
    ("method", "path", "answer", "message"),
    [
        ("GET", SERVICE, FORBIDDEN, "this pod may not read InferenceServices .*bind a role"),
        ("POST", SERVICES, FORBIDDEN, "this pod may not make InferenceService team/m"),
        ("POST", SERVICES, status(403, "exceeded quota: team", "Forbidden"), "a quota is used up"),
        ("POST", SERVICES, 404, "the cluster knows no InferenceService .*install KServe"),
        ("POST", SERVICES, status(400, "a webhook denied it", "BadRequest"), "Kubernetes refuses it .*webhook"),
        ("GET", PODS, FORBIDDEN, "this pod may not list pods .*is removed"),
    ],
)
def test_what_the_cluster_refuses_is_one_sentence_and_leaves_nothing(
    go, server, store: Rollouts, method: str, path: str, answer: Any, message: str
) -> None:
    server.fault = lambda had, at, query: answer if (had, at) == (method, path) else None
    with pytest.raises(UserError, match=message) as caught:
        go(1)
    assert "\n" not in str(caught.value)
    assert not server.services and store.number("serving") is None and store.number("candidate") is None


def test_an_inference_service_of_something_else_is_left(go, server, store: Rollouts) -> None:
    server.behave = lambda server, service: None
    spec = {"predictor": {"containers": [{"name": "kserve-container", "image": "x"}]}}
    server.make({"metadata": {"name": MODEL}, "spec": spec})
    with pytest.raises(UserError, match=r"has no spec.predictor.model.*; nothing was changed"):
        go(1)
    assert server.services[MODEL]["spec"] == spec


def test_a_work_directory_on_this_machine_is_refused(server: InferenceServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no bucket, from which a cluster could serve it; give a work directory on"):
        roll_out(tmp_path, tmp_path / "work", 1, None)
    assert not server.requests


def test_without_a_cluster_it_says_so(work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"deploy.inference_service is set, but this is no pod of a cluster"):
        roll_out(tmp_path, work, 1, None)


def test_a_version_of_before_carries_nothing_to_ask(go, store: Rollouts, work: str) -> None:
    go(1)
    open_storage(work).delete([f"{store.prefix}/versions/1/recorded_requests.json"])
    assert recorded(store.version(1)) == []


# By hand.


def test_after_a_rollback_by_hand_the_cluster_follows_by_a_command(go, server, store: Rollouts, work, capsys) -> None:
    go(1)
    go(2)
    store.rollback()
    assert main(["--work", work, "--model", MODEL]) == 0
    assert capsys.readouterr().out == "InferenceService team/m serves version 1\n"
    assert served(server).endswith("/1/serving") and store.number("serving") == 1 and store.number("candidate") is None


def test_what_is_in_service_stays_there_when_it_does_not_come_up_by_hand(go, server, store, work, capsys) -> None:
    go(1, wait_minutes=SHORT)
    go(2)
    store.rollback()
    server.behave = never_comes_up
    assert main(["--work", work, "--model", MODEL]) == 1
    said = capsys.readouterr().err
    assert "InferenceService team/m did not serve version 1 within" in said
    assert "team/m stays at version 1, which is in service; mend that and run again" in said
    assert store.number("serving") == 1 and store.number("candidate") is None and store.withdrawal() == ""
    assert served(server).endswith("/1/serving")


def test_the_command_says_what_is_missing_in_one_sentence(store: Rollouts, work: str, tmp_path: Path, capsys) -> None:
    assert main(["--work", work, "--model", MODEL]) == 1
    sources = make_sources(tmp_path / "local")
    deploy(sources, DeployConfig(name=MODEL, deploy=Deploy(), model_yaml={"name": MODEL}), ORIGIN, work)
    assert main(["--work", work, "--model", MODEL]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: no version of m is in service; promote one")
    assert second.startswith("error: version 1 of m was made without deploy.inference_service")
