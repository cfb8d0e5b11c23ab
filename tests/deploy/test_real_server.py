"""The real server behind the InferenceService's address, on what KServe would mount."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from components import artifacts
from components.deploy.config import Deploy, DeployConfig, InferenceService
from components.deploy.deploy import deploy
from components.errors import UserError
from components.serve.launch import ServerProcess
from components.storage.open import open_storage
from components.store.rollouts import Rollouts
from tests.deploy.made import MODEL, ORIGIN, make_sources
from tests.kubernetes.api_server import Object
from tests.kubernetes.inference_services import InferenceServer
from tests.rehearse.conftest import Stage, litert

__all__ = ["litert"]


@pytest.fixture
def real(server: InferenceServer, tmp_path: Path) -> Iterator[InferenceServer]:
    """A cluster whose pods are the real server."""
    with ExitStack() as servers:

        def mount_and_serve(server: InferenceServer, service: Object) -> None:
            uri = service["spec"]["predictor"]["model"]["storageUri"]
            folder = tmp_path / "mnt" / uri.split("/")[-2]
            if not folder.exists():
                open_storage(uri).download("", folder)
            process = servers.enter_context(ServerProcess(["--folder", f"{MODEL}={folder}"]))
            server.answers_at = process.url
            server.start_pods(service)
            server.stop_others(service)
            server.show(MODEL)

        server.behave = mount_and_serve
        yield server


@pytest.mark.nightly
@pytest.mark.parametrize("work", ["bucket"], indirect=True)
def test_the_real_server_answers_for_the_version(
    real, store: Rollouts, work: str, tmp_path: Path, litert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "test")
    stage = Stage(tmp_path / "stage", litert)
    stage.rehearse()
    sources = replace(make_sources(tmp_path), recorded=stage.recorded)
    shutil.rmtree(sources.chosen / artifacts.SERVING)
    shutil.copytree(stage.serving, sources.chosen / artifacts.SERVING)
    section = Deploy(inference_service=InferenceService(wait_minutes=1))
    config = DeployConfig(name=MODEL, deploy=section, model_yaml={"name": MODEL, "serve": {"max_instances": 7}})
    deploy(sources, config, ORIGIN, work)
    assert store.number("serving") == 1
    metadata = httpx.get(f"{real.answers_at}/v2/models/{MODEL}").json()
    assert metadata["versions"] == ["1"], "the mounted folder alone tells the version"
    many = httpx.post(f"{real.answers_at}/v1/models/{MODEL}:predict", json={"instances": [{}] * 8})
    assert many.status_code == 400, "and the model's settings"

    # A model that answers otherwise than its rehearsal is what a broken copy, or another runtime, would be.
    questions = artifacts.parse_questions(store.version(1).read(artifacts.RECORDED_REQUESTS))
    artifacts.write_questions(stage.recorded, [replace(one, expected=one.expected + 0.1) for one in questions])
    first = store.version(1).location
    other = replace(sources, base=first, serving=first)
    with pytest.raises(UserError, match=r"version 2 answers held-out row 0 with .*; InferenceService .* at version 1"):
        deploy(other, config, {**ORIGIN, "training_digest": "another"}, work)
    assert store.number("serving") == 1
