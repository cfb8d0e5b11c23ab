"""What KFP left goes, and nothing else does: the command against a stand-in for the API, and real storages."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.cleanup.kubeflow import pipelines
from components.cleanup.kubeflow.__main__ import MARK, main
from components.cleanup.kubeflow.leftovers import mark_of
from components.cleanup.kubeflow.pipelines import TOKEN_VARIABLE
from components.cleanup.sweep import sweeping
from components.errors import UserError
from components.kubernetes.connection import connect
from components.kubernetes.kubeflow_pipelines import PipelinesApi
from components.kubernetes.tfjob import OURS, RUN
from components.storage.open import open_storage
from components.store import ModelStore
from tests.cleanup_cluster.conftest import DAY_S, PIPELINE, Place
from tests.kfp_server.server import API

OLD = 100


def history(place: Place) -> None:
    """Two young runs, an old one that made a version, two old ones that may go."""
    place.run("young-1", 1, workflow=f"{PIPELINE}-bbbb2")
    place.run("young-2", 2)
    place.run("named", OLD, workflow=f"{PIPELINE}-bbbb4")
    place.run("old-1", OLD + 1, workflow=f"{PIPELINE}-bbbb5")
    place.run("old-2", OLD + 2, state="FAILED", inline=True)
    place.version(3, "named")


def job(place: Place, name: str, run: str, keep_s: int = 3600, **labels: str) -> None:
    metadata = {"name": name, "labels": {**OURS, RUN: run, **labels}, "resourceVersion": "0"}
    place.kubernetes.jobs[name] = {"metadata": metadata, "spec": {"runPolicy": {"ttlSecondsAfterFinished": keep_s}}}


def logged(place: Place) -> list[dict[str, Any]]:
    text = Path(place.work, "cleanup", "flights", "kubeflow", "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def paths(folder: str) -> list[Path]:
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def test_old_runs_go_with_their_outputs_and_logs(any_place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place = any_place
    history(place)
    assert place.main() == 0
    assert set(place.kfp.runs) == {"young-1", "young-2", "named"}
    for run in ("young-1", "young-2", "named"):
        assert place.exists(place.outputs_of(run))
    for run in ("old-1", "old-2"):
        assert not place.exists(place.outputs_of(run))
    assert place.exists(f"{place.logs}/{PIPELINE}-bbbb4")
    assert not place.exists(f"{place.logs}/{PIPELINE}-bbbb5")
    assert "Freed 25 bytes of flights on the cluster in 5 places" in capsys.readouterr().out
    assert place.main() == 0
    assert "Nothing that Kubeflow Pipelines keeps of flights may go." in capsys.readouterr().out


def test_a_dry_run_shows_everything_and_changes_nothing(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    history(place)
    job(place, "evergreen-train-1", "old-1")
    before = paths(place.work), paths(place.outputs), paths(place.logs), dict(place.kfp.runs)
    assert place.main("--dry-run") == 0
    assert (paths(place.work), paths(place.outputs), paths(place.logs), dict(place.kfp.runs)) == before
    assert not place.kfp.seen("DELETE")
    assert list(place.kubernetes.jobs) == ["evergreen-train-1"]
    shown = capsys.readouterr().out
    for name in ("old-1", "old-2", place.outputs_of("old-2"), f"{PIPELINE}-bbbb5", "evergreen-train-1", "25 bytes"):
        assert name in shown
    assert "Nothing was deleted; leave out --dry-run to delete this." in shown


def test_the_retention_is_that_of_the_version_in_service(any_place: Place) -> None:
    place = any_place
    history(place)
    place.version(3, "named", model_yaml=b"retention: {days: 30, runs: 4}")
    store = ModelStore(place.work, "flights")
    assert place.main(config=False) == 0
    assert len(place.kfp.runs) == 5, "20 runs are kept by default"
    store.point("serving", store.version(3))
    assert place.main(config=False) == 0
    assert set(place.kfp.runs) == {"young-1", "young-2", "named", "old-1"}


@pytest.mark.parametrize(
    ("ended_days_ago", "days", "goes"),
    [(29, 30, False), (31, 30, False), (61, 30, True), (400, 365, False), (731, 365, True), (3, 1, True)],
)
def test_a_run_of_the_current_or_the_previous_generation_stays(
    place: Place, ended_days_ago: float, days: int, goes: bool
) -> None:
    place.run("one", ended_days_ago)
    for number in range(2):
        place.run(f"young-{number}", 0)
    place.clean_up(place.now_s, days=days)
    assert ("one" not in place.kfp.runs) == goes


def test_what_a_run_wrote_after_a_long_time_belongs_to_when_it_ended(place: Place) -> None:
    place.run("long", 61, minutes=40 * 24 * 60)
    assert not place.clean_up(place.now_s, runs=1)


def test_the_newest_runs_stay_however_old(place: Place) -> None:
    for number in range(5):
        place.run(f"run-{number}", 500 + number)
    place.clean_up(place.now_s, runs=3)
    assert sorted(place.kfp.runs) == ["run-0", "run-1", "run-2"]


def test_runs_of_others_stay(place: Place) -> None:
    for number in range(2):
        place.run(f"young-{number}", 1)
    others = ["evergreen-flights-eu", "evergreen-flight", "my-evergreen-flights", "other"]
    for name in others:
        place.run(f"from {name}", OLD, name)
        place.run(f"inline {name}", OLD, name, inline=True)
    place.kfp.upload("uploaded by hand", compiled=PIPELINE)
    place.kfp.run("by hand", place.now_s - OLD * DAY_S, "uploaded by hand")
    place.run("elsewhere", OLD, namespace="another-team")
    place.run("of-another-version", OLD)
    place.kfp.version("wine", "other", "evergreen-wine")
    place.kfp.runs["of-another-version"]["pipeline_version_reference"]["pipeline_version_id"] = "wine"
    del place.kfp.pipelines["other"]  # whose pipeline is not known any more
    before = set(place.kfp.runs)
    assert place.main() == 0
    assert set(place.kfp.runs) == before


def test_all_models_in_the_store_take_their_turn_in_spite_of_one(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("flights", "wine"):
        for number in range(4):
            place.run(f"{model}-{number}", OLD + number, f"evergreen-{model}")
        place.version(1, f"{model}-3", model)
    place.write(f"{place.work}/models/flights/versions/1/lineage.json", b"{")
    assert place.main(model=None) == 1
    assert {run for run in place.kfp.runs if run.startswith("wine")} == {"wine-0", "wine-1", "wine-3"}
    assert {run for run in place.kfp.runs if run.startswith("flights")} == {f"flights-{n}" for n in range(4)}
    assert "until it is mended no run goes" in capsys.readouterr().err


def test_many_runs_come_in_pages(place: Place) -> None:
    place.write(f"{place.outputs_of('run-000')}/train/weights.h5")
    for number in range(450):
        place.kfp.run(f"run-{number:03}", place.now_s - (OLD + number) * DAY_S)
    place.clean_up(place.now_s, runs=440)
    assert len(place.kfp.runs) == 440
    assert "run-440" not in place.kfp.runs
    queries = [query for _, path, query in place.kfp.requests if path == f"{API}/runs"]
    assert [("page_token" in query, query["page_size"]) for query in queries[:3]] == [
        (False, "200"),
        (True, "200"),
        (True, "200"),
    ]


@pytest.mark.parametrize(
    ("name", "workflow"),
    [
        (f"{PIPELINE}-bbbb5", f"{PIPELINE}-bbbb5"),
        (f"{PIPELINE}-bbbb5-system-container-impl-3141592653", f"{PIPELINE}-bbbb5"),
        (f"{PIPELINE}-eu-bbbb5-system-dag-driver-1", None),
        (f"{PIPELINE}-europe", None),
        ("train", None),
    ],
)
def test_logs_are_found_by_the_name_of_the_workflow(place: Place, name: str, workflow: str | None) -> None:
    place.kfp.run("one", place.now_s)
    (run,) = place.cleanup().pipelines.runs()
    mark = mark_of(replace(run, names=("root", name)), "flights", None, "s3://logs/team/")
    assert mark.logs == (workflow and f"s3://logs/team/{workflow}")


def test_a_run_that_left_nothing_shows_nothing(place: Place) -> None:
    place.run("young", 1)
    for number in range(1, 3):
        place.kfp.run(f"run-{number}", place.now_s - (OLD + number) * DAY_S)
    assert place.clean_up(place.now_s) == ["run-2"]


def test_the_outputs_of_a_run_with_a_pipeline_root_of_its_own_go_there(place: Place) -> None:
    history(place)
    own = f"{place.outputs}-own"
    place.run("old-3", OLD + 3, root=own)
    assert place.main() == 0
    assert "old-3" not in place.kfp.runs
    assert not place.exists(f"{own}/{PIPELINE}/old-3")


@pytest.mark.parametrize("root", ["gs://bucket/root", "/nowhere"])
def test_a_run_whose_pipeline_root_cannot_be_looked_into_stays(
    place: Place, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    place.kfp.run("old-3", place.now_s - (OLD + 3) * DAY_S, root=root)
    assert place.main() == 0
    assert "old-3" in place.kfp.runs and "old-1" not in place.kfp.runs
    assert "1 runs stay, because no outputs lie in" in capsys.readouterr().out


def test_no_run_goes_where_no_outputs_lie(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history(place)
    (tmp_path / "elsewhere").mkdir()
    before = set(place.kfp.runs)
    assert place.main("--pipeline-root", str(tmp_path / "elsewhere")) == 0
    assert set(place.kfp.runs) == before
    assert f"2 runs stay, because no outputs lie in {tmp_path}/elsewhere/{PIPELINE}" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--pipeline-root", "--logs"])
@pytest.mark.parametrize("address", ["s3:/typo", "gs://bucket/v2", "http://x", "outputs"])
def test_a_place_that_is_none_is_refused(
    place: Place, option: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    before = set(place.kfp.runs)
    assert place.main(option, address) == 1
    assert set(place.kfp.runs) == before
    assert f"{option} is {address}; give s3://bucket/prefix" in capsys.readouterr().err


# Runs in progress.


@pytest.mark.parametrize("pipeline", [PIPELINE, "uploaded by hand", "deleted"])
def test_outputs_that_a_run_in_progress_may_use_wait_for_its_end(
    place: Place, pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    if pipeline == "uploaded by hand":
        place.kfp.upload(pipeline, compiled=PIPELINE)
    place.kfp.run("working", place.now_s - 600, pipeline, state="RUNNING")
    if pipeline == "deleted":
        del place.kfp.pipelines[pipeline], place.kfp.versions[f"{pipeline}-v"]
    assert place.main() == 0
    assert "run working is in progress" in capsys.readouterr().out.replace(" of flights", "")
    assert "old-1" not in place.kfp.runs
    assert place.exists(place.outputs_of("old-1"))
    place.kfp.runs["working"]["state"] = "SUCCEEDED"
    assert place.main() == 0
    assert not place.exists(place.outputs_of("old-1"))
    assert not place.exists(f"{place.logs}/{PIPELINE}-bbbb5")


def test_outputs_that_wait_are_neither_counted_nor_logged(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    history(place)
    place.kfp.run("working", place.now_s - 90 * DAY_S, state="RUNNING")
    for _ in range(3):
        assert place.main() == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "(90 days): outputs and logs of 2 runs, which it may use, stay" in shown
    assert "terminate it if it is at work no more" in shown
    assert "Freed 0 bytes of flights on the cluster in 2 places" in shown
    assert [line["path"] for line in logged(place)] == ["run old-1", "run old-2"]
    del place.kfp.runs["working"]
    assert place.main() == 0
    assert [line["path"].split()[0] for line in logged(place)[2:]] == ["outputs", "logs", "outputs"]


def test_a_run_of_another_pipeline_in_progress_holds_nothing_up(place: Place) -> None:
    history(place)
    place.kfp.run("working", place.now_s - 600, "other", state="RUNNING")
    assert place.main() == 0
    assert not place.exists(place.outputs_of("old-1"))


def test_runs_that_began_after_a_run_was_gone_hold_its_outputs_no_longer(place: Place) -> None:
    history(place)
    place.kfp.run("working", place.now_s - 600, state="RUNNING")
    place.clean_up(place.now_s)
    del place.kfp.runs["working"]
    for hours in (0.5, 3):
        place.kfp.run("another", place.now_s + hours * 3600, state="RUNNING")
        place.clean_up(place.now_s + 4 * 3600)
        assert place.exists(place.outputs_of("old-1")) == (hours == 0.5)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED"])
def test_a_run_that_has_not_ended_stays(place: Place, state: str) -> None:
    history(place)
    place.kfp.runs["old-1"]["state"] = state
    assert place.main() == 0
    assert "old-1" in place.kfp.runs
    assert place.exists(place.outputs_of("old-1"))


def test_a_run_that_is_started_again_meanwhile_stays(place: Place) -> None:
    history(place)
    cleanup = place.cleanup()
    plan = cleanup.plan(list(cleanup.pipelines.runs()), place.now_s)
    place.kfp.runs["old-1"]["state"] = "RUNNING"
    freed = cleanup.apply(plan)
    assert [failure.error for failure in freed.failures] == ["run old-1 was started again meanwhile; it stays"]
    assert place.exists(place.outputs_of("old-1"))
    assert "old-2" not in place.kfp.runs


def test_what_the_cache_returns_is_there(place: Place) -> None:
    """The cache knows fingerprints until their run is deleted; KFP does not look whether the outputs are there."""
    history(place)
    place.kfp.cache = {"a": "old-1", "b": "old-1", "c": "young-1", "d": "named"}
    kills_at = {"outputs": False}

    def look(method: str, path: str) -> None:
        kills_at["outputs"] |= not place.exists(place.outputs_of("old-1")) and "a" in place.kfp.cache

    place.kfp.fault = look
    assert place.main() == 0
    assert place.kfp.cache == {"c": "young-1", "d": "named"}
    assert not kills_at["outputs"]


# TFJobs.


def test_tfjobs_of_ended_runs_go(place: Place) -> None:
    place.run("ended", 0.5)
    place.kfp.run("working", place.now_s - 600, state="RUNNING")
    place.run("of-wine", 10, "evergreen-wine")
    job(place, "goes", "ended")
    job(place, "kept for its time", "ended", keep_s=100_000)
    job(place, "works", "working")
    job(place, "of another model", "of-wine")
    job(place, "of a run that nobody knows", "gone")
    job(place, "not ours", "ended", **{"app.kubernetes.io/name": "other"})
    assert place.main() == 0
    assert "goes" not in place.kubernetes.jobs
    assert len(place.kubernetes.jobs) == 5


def test_a_tfjob_that_another_run_takes_over_meanwhile_stays(place: Place) -> None:
    place.run("ended", 0.5)
    job(place, "taken-over", "ended")

    def take_over(method: str, path: str, query: dict[str, str]) -> None:
        if method == "DELETE":
            connect().give_to({}, "taken-over", {RUN: "working"})

    place.kubernetes.fault = take_over
    assert place.main() == 1
    assert place.kubernetes.jobs["taken-over"]["metadata"]["labels"] == {**OURS, RUN: "working"}
    place.kfp.run("working", place.now_s - 600, state="RUNNING")
    place.kubernetes.fault = lambda method, path, query: None
    assert place.main() == 0
    assert "taken-over" in place.kubernetes.jobs


def test_a_cluster_without_the_training_operator_is_fine(place: Place) -> None:
    history(place)
    place.kubernetes.fault = lambda method, path, query: 404
    assert place.main() == 0
    assert "old-1" not in place.kfp.runs


def test_without_a_cluster_tfjobs_are_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert place.main() == 0
    assert "TFJobs are left alone: this is no pod of a cluster" in capsys.readouterr().out
    assert "old-1" not in place.kfp.runs


# Errors.


@pytest.mark.parametrize("methods", [("GET",), ("DELETE",), ("GET", "DELETE")])
def test_only_the_api_itself_can_say_that_a_run_is_gone(
    place: Place, methods: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    place.kfp.cache = {"a": "old-1"}
    place.kfp.proxy = lambda method, path: method in methods and path.endswith("/runs/old-1")
    assert place.main() == 1
    assert "does not answer as the API does" in " ".join(capsys.readouterr()).replace("\n", " ")
    assert place.kfp.cache == {"a": "old-1"} and place.exists(place.outputs_of("old-1"))
    place.kfp.proxy = lambda method, path: False
    assert place.main() == 0
    assert not place.kfp.cache and not place.exists(place.outputs_of("old-1"))


def test_a_run_that_is_there_after_all_keeps_its_outputs(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    monkeypatch.setattr(place.kfp, "delete", lambda run: {})
    assert place.main() == 1
    assert "still has run old-1" in capsys.readouterr().out.replace("\n", " ")
    assert place.exists(place.outputs_of("old-1"))


def test_a_second_cleanup_at_the_same_time_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    history(place)
    with sweeping(open_storage(place.work), MARK):
        assert place.main("--dry-run") == 0
        assert place.main() == 1
    assert "another cleanup is at work" in capsys.readouterr().err
    assert "old-1" in place.kfp.runs
    with sweeping(open_storage(place.work)):
        assert place.main() == 0
    assert "old-1" not in place.kfp.runs


@pytest.mark.parametrize(
    "change", [{"outputs": 5}, {"deleted_s": "x"}, {"run": "other"}, {"logs": ["x"]}, {"more": 1}, None]
)
def test_a_mark_that_cannot_be_read_is_told_and_holds_up_no_other_model(
    place: Place, change: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("flights", "wine"):
        for number in range(3):
            place.run(f"{model}-{number}", OLD + number, f"evergreen-{model}")
        place.version(1, f"{model}-0", model)
    mark = {"run": "gone", "outputs": place.outputs_of("gone"), "logs": None, "deleted_s": 1.0}
    content = [] if change is None else mark | change
    place.write(f"{place.work}/cleanup/flights/kubeflow/gone.json", json.dumps(content).encode())
    assert place.main(model=None) == 1
    assert "kubeflow/gone.json cannot be read; delete it" in capsys.readouterr().err
    assert "wine-2" not in place.kfp.runs and "flights-2" in place.kfp.runs


@pytest.mark.parametrize("raw", [{}, {"run_id": "x", "created_at": "today"}, {"run_id": "x", "run_details": 5}])
def test_a_run_of_unexpected_shape_is_an_error_in_one_sentence(
    place: Place, raw: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.kfp, "list_runs", lambda query: {"runs": [raw]})
    assert place.main() == 1
    assert "does not answer as the API does" in capsys.readouterr().err


def test_a_pipeline_without_a_name_is_nobody_s(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    history(place)
    monkeypatch.setattr(PipelinesApi, "find", lambda self, doing, call, **given: {} if "pipelines" in doing else None)
    assert place.main() == 0
    assert "old-1" in place.kfp.runs


def test_a_run_that_is_gone_already_is_no_error(place: Place) -> None:
    history(place)

    def another_was_first(method: str, path: str) -> None:
        if method == "DELETE" and "old-1" in place.kfp.runs:
            place.kfp.delete("old-1")

    place.kfp.fault = another_was_first
    assert place.main() == 0
    assert not place.exists(place.outputs_of("old-1"))


def test_a_server_that_is_away_for_a_while_is_waited_for(place: Place) -> None:
    history(place)
    counts: dict[tuple[str, str], int] = {}

    def fails_twice(method: str, path: str) -> int | None:
        counts[method, path] = counts.get((method, path), 0) + 1
        return (503, 500)[counts[method, path] % 2] if counts[method, path] <= 2 else None

    place.kfp.fault = fails_twice
    assert place.main() == 0
    assert not place.exists(place.outputs_of("old-1"))


def test_one_run_that_cannot_be_deleted_holds_up_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    monkeypatch.setattr(pipelines, "OUTAGE_S", 0.05)
    place.kfp.fault = lambda method, path: 500 if (method, path) == ("DELETE", f"{API}/runs/old-1") else None
    assert place.main() == 1
    assert "old-1 could not be deleted: Kubeflow Pipelines at http" in capsys.readouterr().out.replace("\n", " ")
    assert set(place.kfp.runs) >= {"old-1"} and "old-2" not in place.kfp.runs
    assert place.exists(place.outputs_of("old-1"))
    place.kfp.fault = lambda method, path: None
    assert place.main() == 0
    assert not place.exists(place.outputs_of("old-1"))


def test_a_token_is_needed_and_never_shown(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    place.kfp.token = "a-secret"
    monkeypatch.setenv(TOKEN_VARIABLE, str(tmp_path / "token"))
    for content in (None, "a-wrong-secret"):
        if content is not None:
            (tmp_path / "token").write_text(content)
        assert place.main() == 1
        said = capsys.readouterr()
        assert "does not let this account list runs (Request header error: there is no user identity" in said.err
        assert "secret" not in said.out + said.err
        assert "Traceback" not in said.err
    (tmp_path / "token").write_text("a-secret\n")
    assert place.main() == 0
    assert "old-1" not in place.kfp.runs


@pytest.mark.parametrize(
    ("code", "message"), [(403, "give it a token in the file"), (400, "mend what it names")], ids=["403", "400"]
)
def test_a_refusal_is_told_in_one_sentence(
    place: Place, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.kfp.fault = lambda method, path: code
    assert place.main() == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_login_page_is_no_api(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place.cleanup().pipelines
    with pytest.raises(UserError, match="does not answer as the API does"):
        found._api._parsed(b"<html>sign in</html>")


def test_a_host_without_scheme_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.kfp.url = "ml-pipeline:8888"
    assert place.main() == 1
    assert "the host 'ml-pipeline:8888' is no URL; give one like http://" in capsys.readouterr().err


def test_a_name_that_leads_elsewhere_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.main(model="../../etc") == 1
    assert "cannot be a model's name" in capsys.readouterr().err


def test_without_a_pipeline_root_outputs_stay_and_that_is_said(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    history(place)
    where = ["--host", place.kfp.url, "--namespace", "team", "--work", place.work, "--config", str(place.config)]
    assert main([*where, "--model", "flights"]) == 0
    assert "Without --pipeline-root the outputs of runs that go stay where they are" in capsys.readouterr().out
    assert "old-1" not in place.kfp.runs
    assert place.exists(place.outputs_of("old-1"))


def test_the_log_says_what_went(place: Place) -> None:
    history(place)
    place.main()
    lines = logged(place)
    assert {line["path"] for line in lines} >= {"run old-1", "run old-2", f"outputs {place.outputs_of('old-1')}"}
    assert all(line["why"] and line["time_s"] >= place.now_s for line in lines)


# Crashes.


class Killer:
    """Kills this process at its n-th step that changes something: before it, or right after it."""

    def __init__(self, at: int, after: bool) -> None:
        self.left, self.after = at, after

    def step(self, call: Any) -> Any:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **more)
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped


def in_a_child_that_is_killed(place: Place, at: int, after: bool) -> bool:
    """Whether a cleanup in a child process, killed at its n-th step, came to its end before that."""
    child = os.fork()
    if child == 0:
        try:
            killer = Killer(at, after)
            for owner, name in ((Path, "unlink"), (Path, "replace"), (pipelines.Pipelines, "delete")):
                setattr(owner, name, killer.step(getattr(owner, name)))
            place.clean_up(place.now_s)
            os._exit(0)
        finally:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_killed_cleanup_is_run_again(place: Place, after: bool) -> None:
    at, is_over = 0, False
    while not is_over:
        at += 1
        history(place)
        is_over = in_a_child_that_is_killed(place, at, after)
        for run in ("young-1", "young-2", "named"):
            assert len(paths(place.outputs_of(run))) == 2
        for run in ("old-1", "old-2"):
            assert run not in place.kfp.runs or len(paths(place.outputs_of(run))) == 2
        place.clean_up(place.now_s)
        for run in ("old-1", "old-2"):
            assert run not in place.kfp.runs
            assert not paths(place.outputs_of(run))
        assert not paths(f"{place.logs}/{PIPELINE}-bbbb5")
        left = [path.name for path in paths(f"{place.work}/cleanup") if not path.name.endswith(".tmp")]
        assert left == ["log.jsonl"]
    assert at > 10
