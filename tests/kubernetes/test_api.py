"""Listing TFJobs; the rest of the client is tested with the step that uses it (tests/train/test_tfjob.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import UserError
from components.kubernetes import api
from components.kubernetes.connection import NoClusterError, connect
from components.kubernetes.tfjob import OURS, RUN
from tests.kubernetes.api_server import JOBS, ApiServer, kubeconfig, status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with ApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        yield server


def test_jobs_are_found_by_label_page_after_page(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGE", 2)
    for number in range(5):
        server.jobs[f"ours-{number}"] = {"metadata": {"name": f"ours-{number}", "labels": {**OURS, RUN: str(number)}}}
    server.jobs["another"] = {"metadata": {"name": "another", "labels": {RUN: "1"}}}
    assert [job["metadata"]["name"] for job in connect().jobs(OURS)] == [f"ours-{number}" for number in range(5)]
    assert [query.get("continue") for query, _ in server.seen("GET", JOBS)] == [None, "2", "4"]
    assert [job["metadata"]["name"] for job in connect().jobs({RUN: "1"})] == ["ours-1", "another"]


def test_a_cluster_that_knows_no_tfjob_has_none(server: ApiServer) -> None:
    server.fault = lambda method, path, query: 404
    assert connect().jobs(OURS) == []


def test_listing_may_be_forbidden(server: ApiServer) -> None:
    server.fault = lambda method, path, query: status(403, "tfjobs.kubeflow.org is forbidden", "Forbidden")
    with pytest.raises(UserError, match=r"this pod may not list TFJobs \(tfjobs.* is forbidden\); bind a role"):
        connect().jobs(OURS)


def test_a_namespace_may_be_given(server: ApiServer) -> None:
    assert connect().namespace == "team"
    assert connect("another").namespace == "another"


def test_without_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoClusterError, match="this is no pod of a cluster"):
        connect()
