"""The few requests to Kubeflow Pipelines (v2beta1) that cleaning up needs, patient with an API server that is away."""

import os
from collections.abc import Iterator
from pathlib import Path

import kfp_server_api

from components.cleanup.kubeflow.run import Run, read_run, spec_name
from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import UNFINISHED, Access, Object, PipelinesApi

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
"""Where `kfp.Client` looks for a service account's token too."""
OUTAGE_S = 5 * 60.0
"""What the server may be away in all."""


class Pipelines:
    """One namespace of a Kubeflow Pipelines."""

    def __init__(self, host: str, namespace: str) -> None:
        """Connects nowhere yet.

        Args:
            host: URL of the API server or of the UI in front of it.
            namespace: the namespace of the runs; a single-user installation does not look at it.

        Raises:
            UserError: the host is no URL.
        """
        remedy = (
            f"give it a token in the file that {TOKEN_VARIABLE} names, and a role for pipelines.kubeflow.org in "
            f"namespace {namespace}"
        )
        self._api = PipelinesApi(Access(host, read_token, {401: remedy, 403: remedy}), OUTAGE_S)
        self._namespace = namespace
        self._names: dict[str, str | None] = {}
        self._compiled: dict[str, str | None] = {}
        self._runs = kfp_server_api.RunServiceApi(self._api.client)
        self._pipelines = kfp_server_api.PipelineServiceApi(self._api.client)

    def runs(self, in_progress: bool = False) -> Iterator[Run]:
        """All runs in the namespace, the newest first; or only those that have not ended.

        Raises:
            UserError: they may not be listed.
        """
        # The server knows no filter by pipeline.
        page: Object = {"sort_by": "created_at desc"}
        if in_progress:
            page["filter"] = UNFINISHED
        list_runs = self._runs.run_service_list_runs
        for raw in self._api.pages("list runs", list_runs, "runs", page, namespace=self._namespace):
            yield self._api.told(read_run, raw)

    def find(self, run: str) -> Run | None:
        """A run; None where there is none of that id.

        Raises:
            UserError: it may not be read.
        """
        found = self._api.find("read runs", self._runs.run_service_get_run, run_id=run)
        return None if found is None else self._api.told(read_run, found)

    def delete(self, run: str) -> None:
        """Deletes a run, its workflow, and what the cache knows of its tasks; its artifacts stay. A gone one is fine.

        Raises:
            UserError: it may not be deleted, or is still there, or the server was away.
        """
        self._api.find("delete runs", self._runs.run_service_delete_run, run_id=run)
        if self.find(run) is not None:
            raise UserError(f"{self._api.server} still has run {run}, which it was told to delete; run this again")

    def pipeline_name(self, run: Run) -> str | None:
        """The name of a run's pipeline; None where that was deleted."""
        if run.pipeline_id is None:
            return run.spec_name
        if run.pipeline_id not in self._names:
            found = self._api.find(
                "read pipelines", self._pipelines.pipeline_service_get_pipeline, pipeline_id=run.pipeline_id
            )
            self._names[run.pipeline_id] = None if found is None else found.get("name")
        return self._names[run.pipeline_id]

    def compiled_name(self, run: Run) -> str | None:
        """The name that a run's pipeline was compiled with, by which the cache goes; None where it is not known.

        A pipeline can be uploaded under any name.
        """
        if run.version_id is None:
            return run.spec_name
        if run.version_id not in self._compiled:
            found = self._api.find(
                "read pipeline versions", self._pipelines.pipeline_service_get_pipeline_version,
                pipeline_id=run.pipeline_id, pipeline_version_id=run.version_id,
            )  # fmt: skip
            self._compiled[run.version_id] = None if found is None else self._api.told(spec_name, found)
        return self._compiled[run.version_id]


def read_token() -> str | None:
    """The token of the pod's service account; None where there is none."""
    path = Path(os.environ.get(TOKEN_VARIABLE) or TOKEN)
    return path.read_text(encoding="utf-8").strip() if path.exists() else None
