"""A work directory, and a cluster with KServe that is a stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components import artifacts
from components.deploy import manifest, rollout
from components.kubernetes import patience
from components.store.rollouts import Rollouts
from tests.deploy.made import MODEL
from tests.kubernetes.api_server import kubeconfig
from tests.kubernetes.inference_services import InferenceServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InferenceServer]:
    monkeypatch.setattr(rollout, "POLL_S", 0.02)
    monkeypatch.setattr(rollout, "AGAIN_S", 0.01)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "run-1")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with InferenceServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        yield server


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A work directory: for speed a folder that is taken for a bucket, or a bucket where a test asks for that."""
    if getattr(request, "param", "folder") == "bucket":
        root: str = request.getfixturevalue("s3_root")
        return root
    monkeypatch.setattr(manifest, "is_local", lambda address: False)
    return str(tmp_path / "work")


@pytest.fixture
def store(work: str) -> Rollouts:
    return Rollouts(work, MODEL)
