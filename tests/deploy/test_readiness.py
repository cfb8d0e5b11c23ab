"""What pods and an InferenceService's status say about a version."""

from pathlib import Path
from typing import Any

import pytest

from components import artifacts
from components.deploy.readiness import unready
from components.store import Version
from tests.kubernetes.inference_services import READY, VERSION_LABEL

FOUND = {"status": {"address": {"url": "http://m.team"}, "conditions": READY}}
NEW, OLD = "2-0123", "1-4567"


def pod(label: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"pod-{label}", "labels": {VERSION_LABEL: label}}, "status": status}


def ready(label: str) -> dict[str, Any]:
    return pod(label, phase="Running", conditions=READY)


def going(label: str) -> dict[str, Any]:
    found = ready(label)
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return found


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": "two\nlines"}}, **more}


@pytest.fixture
def version(tmp_path: Path) -> Version:
    artifacts.write_json(tmp_path / artifacts.LINEAGE, {"model_digest": "0123"})
    return Version(2, tmp_path)


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([ready(NEW)], None),
        ([ready(NEW), pod(NEW, phase="Pending")], None),
        ([ready(NEW), going(OLD), pod(OLD, phase="Failed")], None),
        ([ready(NEW), ready(OLD)], "1 of 2 pods are of another version"),
        ([ready(NEW), pod(OLD, phase="Pending")], "1 of 2 pods are of another version"),
        ([ready("2-4567")], "no pod of version 2 is ready"),
        ([going(NEW)], "no pod of version 2 is ready"),
        ([], "no pod of version 2 is ready"),
        ([pod(NEW, containerStatuses=[waiting("ContainerCreating")])], "no pod of version 2 is ready"),
        ([pod(NEW, containerStatuses=[waiting("ErrImagePull")])], "pod pod-2-0123: ErrImagePull: two lines"),
        (
            [pod(NEW, initContainerStatuses=[waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 1}})])],
            "pod pod-2-0123: Error (1): no message",
        ),
        (
            [pod(NEW, conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}])],
            "pod pod-2-0123: it waits for a node: 0/3 nodes",
        ),
    ],
)
def test_the_pods_decide(version: Version, pods: list[dict[str, Any]], why: str | None) -> None:
    assert unready(FOUND, pods, version) == why


def test_what_kserve_says_where_there_is_no_pod(version: Version) -> None:
    info = {"reason": "NoSupportingRuntime", "message": "no runtime evergreen"}
    found = {"status": {"modelStatus": {"lastFailureInfo": info}}}
    assert unready(found, [], version) == "NoSupportingRuntime: no runtime evergreen"
    conditions = [{"type": "PredictorReady", "status": "False", "message": "exceeded quota"}]
    assert unready({"status": {"conditions": conditions}}, [], version) == "PredictorReady: exceeded quota"


def test_without_an_address_it_cannot_be_asked(version: Version) -> None:
    assert unready({}, [ready(NEW)], version) == "it has no address yet"
