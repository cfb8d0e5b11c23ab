import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.orchestration import compile
from components.orchestration.connection import connect
from tests.kfp_server.server import API, KfpServer
from tests.submit.conftest import MODEL, NAME, Command


def test_a_run_of_a_version_named_by_content_is_started(command: Command, kfp: KfpServer) -> None:
    done = command("submit")
    assert done.code == 0, done.err
    (pipeline,), (version,), (run,) = (list(found.values()) for found in (kfp.pipelines, kfp.versions, kfp.runs))
    assert (pipeline["name"], pipeline["description"]) == (NAME, "Is it late?")
    assert re.fullmatch(rf"{NAME}-[0-9a-f]{{12}}", version["name"])
    assert run["pipeline_version_reference"] == {
        "pipeline_id": pipeline["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert kfp.experiments[run["experiment_id"]]["display_name"] == NAME
    assert run["runtime_config"]["parameters"] == {}, "the defaults are compiled in"
    assert f"{kfp.url}/#/runs/details/{run['run_id']}" in done.out


def test_the_same_content_is_uploaded_once(command: Command, kfp: KfpServer) -> None:
    assert "uploaded" in command("submit").out
    assert "was there already" in command("submit").out
    assert (len(kfp.versions), len(kfp.runs), len(kfp.experiments)) == (1, 2, 1)
    assert kfp.seen("POST").count("/pipelines/upload_version") == 1
    command("submit", "--set", "train.epochs=3")
    assert (len(kfp.versions), len(kfp.pipelines)) == (2, 1)


def test_two_who_upload_at_once_have_one_version(command: Command, kfp: KfpServer, model: Path) -> None:
    command("submit", "--upload-only")
    (version,) = kfp.versions.values()
    kfp.versions.clear()

    def another_was_first(method: str, path: str) -> None:
        if path.endswith("upload_version"):
            kfp.versions[version["pipeline_version_id"]] = version

    kfp.fault = another_was_first
    done = command("submit")
    assert done.code == 0 and "was there already" in done.out
    (run,) = kfp.runs.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]


@pytest.mark.parametrize("path", ["/pipelines", "/pipelines/upload_version", "/experiments", "/runs"])
def test_an_answer_that_is_lost_makes_nothing_twice(command: Command, kfp: KfpServer, path: str) -> None:
    lost = []

    def once(method: str, asked: str) -> bool:
        if method == "POST" and asked == f"{API}{path}" and not lost:
            lost.append(asked)
            return True
        return False

    kfp.lost = once
    done = command("submit")
    assert done.code == 0, done.err
    assert lost and [len(found) for found in (kfp.pipelines, kfp.versions, kfp.experiments, kfp.runs)] == [1, 1, 1, 1]


def test_a_run_that_may_not_have_come_is_not_started_again(command: Command, kfp: KfpServer) -> None:
    kfp.fault = lambda method, path: 503 if (method, path) == ("POST", f"{API}/runs") else None
    command("submit").refused("broke before it said whether it could start a run", "look")
    assert not kfp.runs and kfp.seen("POST").count("/runs") == 1


def test_parameters_and_account_are_handed_on(command: Command, kfp: KfpServer, model: Path) -> None:
    (model / "model.yaml").write_text(yaml.safe_dump({**MODEL, "cluster": {"service_account": "trainer"}}))
    command("submit", "--until", "2026-01-31", "--force")
    (run,) = kfp.runs.values()
    assert run["runtime_config"]["parameters"] == {"until": "2026-01-31", "force": True}
    assert run["service_account"] == "trainer"
    command("submit", "--until", "soon").refused("--until is soon; it must be a date")


def test_only_an_upload_starts_nothing(command: Command, kfp: KfpServer) -> None:
    assert command("submit", "--upload-only").code == 0
    assert kfp.versions and not kfp.runs


def test_a_refused_version_is_one_sentence(command: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    good = compile.compile_pipeline

    def bad(*given: Any) -> compile.Compiled:
        compiled = good(*given)
        return replace(compiled, yaml=compiled.yaml.replace("schemaVersion:", "scheme:"))

    monkeypatch.setattr(compile, "compile_pipeline", bad)
    command("submit").refused("cannot take version evergreen-small-", "pipeline spec is invalid")
    assert not kfp.versions


def test_a_path_is_no_work_directory_of_a_cluster(bare: Command, kfp: KfpServer) -> None:
    for work in ((), ("--work", "/data"), ("--work", "s3://"), ("--work", "ftp://host/place")):
        bare("submit", "--host", kfp.url, *work).refused("must be in a bucket", "--work, or cluster.work_uri")
    assert not kfp.requests
    bare("submit", "--host", kfp.url, "--set", "cluster.work_uri=s3://other/place")
    (version,) = kfp.versions.values()
    parameters = version["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert parameters["work_uri"]["defaultValue"] == "s3://other/place"


def test_a_slash_at_the_end_makes_no_other_version(bare: Command, kfp: KfpServer) -> None:
    for work in ("s3://bucket/evergreen", "s3://bucket/evergreen/"):
        assert bare("submit", "--host", kfp.url, "--work", work, "--upload-only").code == 0
    assert len(kfp.versions) == 1


def test_what_nodes_may_not_find_is_noted(command: Command) -> None:
    done = command("submit", "--set", "ingest.source=/data/*.csv", "--upload-only")
    assert "note: ingest.source is /data/*.csv, a path" in done.err and "the images have no registry" in done.err
    quiet = ("submit", "--set", "cluster.registry=registry.example.com", "--upload-only")
    assert "note: " not in command(*quiet).err
    mounted = ("--set", "cluster.defaults.volumes=[{path: /data, claim: rows}]", "--set", "ingest.source=/data/*.csv")
    assert "note: " not in command(*quiet, *mounted).err
    predicts = ("--set", "predict={source: 's3://b/*.csv', columns: [x], output: /out}")
    assert "note: predict.output is /out, a path" in command(*quiet, *predicts).err


def test_each_user_s_namespace_has_its_own(bare: Command) -> None:
    with KfpServer(multi_user=True) as kfp:
        kfp.pipelines["of-another"] = {"pipeline_id": "of-another", "name": NAME, "namespace": "other"}
        given = ("--host", kfp.url, "--work", "s3://bucket/evergreen")
        bare("submit", *given).refused("serves many users; give --namespace")
        bare("submit", *given, "--namespace", "other").refused("does not let this account", "not authorized")
        assert bare("submit", *given, "--set", "cluster.namespace=team").code == 0
        assert [one["namespace"] for one in kfp.pipelines.values()] == ["other", "team"]
        (run,) = kfp.runs.values()
        assert kfp.experiments[run["experiment_id"]]["namespace"] == "team"


def test_an_archived_experiment_is_named(command: Command, kfp: KfpServer) -> None:
    command("submit")
    next(iter(kfp.experiments.values()))["storage_state"] = "ARCHIVED"
    command("submit").refused(f"the experiment {NAME} is archived; restore it")


def test_many_versions_come_in_pages(command: Command, kfp: KfpServer) -> None:
    command("submit", "--upload-only")
    (version,) = kfp.versions.values()
    for number in range(250):
        kfp.versions[f"a-{number}"] = {**version, "pipeline_version_id": f"a-{number}", "name": f"other-{number}"}
    assert "was there already" in command("submit", "--upload-only").out


def test_two_processes_at_once_agree(command: Command, kfp: KfpServer, model: Path) -> None:
    found: list[tuple[str, bool]] = []

    def upload() -> None:
        kubeflow = connect(kfp.url, None, None, None, 5)
        pipeline = kubeflow.pipeline(NAME, "")
        found.append(kubeflow.version(pipeline, "v", text, ""))

    command("submit", "--upload-only")
    text = yaml.safe_dump(next(iter(kfp.versions.values()))["pipeline_spec"]["pipeline_spec"])
    kfp.pipelines.clear(), kfp.versions.clear()
    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kfp.pipelines) == len(kfp.versions) == 1
    assert len(found) == 8 and len({version for version, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1
