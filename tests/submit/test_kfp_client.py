"""The stand-in speaks as KFP's own SDK expects, and the compiled YAML needs nothing of ours to be started."""

import warnings
from pathlib import Path

import pytest
from kfp.client.client import Client

from tests.kfp_server.server import KfpServer
from tests.submit.conftest import NAME, WORK, Command


@pytest.fixture
def compiled(bare: Command, tmp_path: Path) -> str:
    path = tmp_path / "pipeline.yaml"
    assert bare("compile", "--work", WORK, "-o", str(path)).code == 0
    return str(path)


@pytest.fixture
def client(kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:

    monkeypatch.setattr(Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Client(host=kfp.url)


def test_the_sdk_starts_the_compiled_pipeline(client: Client, kfp: KfpServer, compiled: str) -> None:
    started = client.create_run_from_pipeline_package(compiled, arguments={"until": "2026-01-31"})
    (run,) = kfp.runs.values()
    assert started.run_id == run["run_id"]
    assert run["runtime_config"]["parameters"] == {"until": "2026-01-31"}
    run["state"] = "SUCCEEDED"
    assert client.wait_for_run_completion(started.run_id, timeout=10).state == "SUCCEEDED"


def test_the_sdk_is_refused_parameters_that_are_not_documented(client: Client, kfp: KfpServer, compiled: str) -> None:
    from kfp_server_api.exceptions import ApiException

    with pytest.raises(ApiException, match="not required by pipeline: epochs"):
        client.create_run_from_pipeline_package(compiled, arguments={"epochs": 3})
    with pytest.raises(ApiException, match="requires type boolean"):
        client.create_run_from_pipeline_package(compiled, arguments={"force": "yes"})
    assert not kfp.runs


def test_the_sdk_finds_what_we_made(client: Client, kfp: KfpServer, command: Command, compiled: str) -> None:
    command("submit")
    command("schedule", "--every", "1d")
    pipeline = client.get_pipeline_id(NAME)
    (version,) = client.list_pipeline_versions(pipeline).pipeline_versions
    assert version.display_name.startswith(NAME)
    experiment = client.get_experiment(experiment_name=NAME)
    (recurring,) = client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs
    assert (recurring.max_concurrency, recurring.no_catchup, recurring.status) == ("1", True, "ENABLED")
    assert recurring.trigger.periodic_schedule.interval_second == "86400"
    (run,) = client.list_runs(experiment_id=experiment.experiment_id).runs
    assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    client.disable_recurring_run(recurring.recurring_run_id)
    assert "paused" in command("schedule", "--list").out


def test_we_find_what_the_sdk_uploaded(client: Client, kfp: KfpServer, command: Command, compiled: str) -> None:
    uploaded = client.upload_pipeline(compiled, pipeline_name=NAME)
    assert command("submit").code == 0
    (run,) = kfp.runs.values()
    assert run["pipeline_version_reference"]["pipeline_id"] == uploaded.pipeline_id
    assert len(kfp.pipelines) == 1 and len(kfp.versions) == 2
