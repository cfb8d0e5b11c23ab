"""The few requests to Kubeflow Pipelines (v2beta1) that cleaning up needs, patient with an API server that is away."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import kfp_server_api
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.cleanup.kubeflow.run import ENDED, Object, Run, read_run, spec_name
from components.errors import UserError
from components.kubernetes import patience

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
"""Where `kfp.Client` looks for a service account's token too."""
PAGE = 200
"""The server gives no more at once."""
TIMEOUT_S = (10, 60)
"""To connect, and between two pieces of an answer."""
OUTAGE_S = 5 * 60.0
"""What the server may be away in all."""
NOT_FOUND = 5
"""gRPC's code, in the JSON of a 404 that is the API's own; a proxy's says nothing of the object."""
Told = TypeVar("Told")


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
        if not host.startswith(("http://", "https://")):
            raise UserError(f"the host {host!r} is no URL; give one like http://ml-pipeline.kubeflow:8888")
        self._server = f"Kubeflow Pipelines at {host}"
        self._namespace = namespace
        self._patience_s = OUTAGE_S
        self._names: dict[str, str | None] = {}
        self._compiled: dict[str, str | None] = {}
        settings = kfp_server_api.Configuration(host=host.rstrip("/"))
        settings.api_key_prefix["authorization"] = "Bearer"
        _read_token(settings)
        settings.refresh_api_key_hook = _read_token
        client = kfp_server_api.ApiClient(settings)
        self._runs = kfp_server_api.RunServiceApi(client)
        self._pipelines = kfp_server_api.PipelineServiceApi(client)

    def runs(self, in_progress: bool = False) -> Iterator[Run]:
        """All runs in the namespace, the newest first; or only those that have not ended.

        Raises:
            UserError: they may not be listed.
        """
        # The server knows no filter by pipeline.
        page: dict[str, str] = {"sort_by": "created_at desc"}
        if in_progress:
            page["filter"] = json.dumps({"predicates": [_unlike(state) for state in sorted(ENDED)]})
        while page:
            found = self._ask(
                "list runs", self._runs.run_service_list_runs, namespace=self._namespace, page_size=PAGE, **page
            )
            yield from (self._told(read_run, raw) for raw in found.get("runs") or [])
            # The token stands for order and filter too.
            token = found.get("next_page_token")
            page = {"page_token": token} if token else {}

    def find(self, run: str) -> Run | None:
        """A run; None where there is none of that id.

        Raises:
            UserError: it may not be read.
        """
        found = self._find("read runs", self._runs.run_service_get_run, run_id=run)
        return None if found is None else self._told(read_run, found)

    def delete(self, run: str) -> None:
        """Deletes a run, its workflow, and what the cache knows of its tasks; its artifacts stay. A gone one is fine.

        Raises:
            UserError: it may not be deleted, or is still there, or the server was away.
        """
        self._find("delete runs", self._runs.run_service_delete_run, run_id=run)
        if self.find(run) is not None:
            raise UserError(f"{self._server} still has run {run}, which it was told to delete; run this again")

    def pipeline_name(self, run: Run) -> str | None:
        """The name of a run's pipeline; None where that was deleted."""
        if run.pipeline_id is None:
            return run.spec_name
        if run.pipeline_id not in self._names:
            found = self._find(
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
            found = self._find(
                "read pipeline versions", self._pipelines.pipeline_service_get_pipeline_version,
                pipeline_id=run.pipeline_id, pipeline_version_id=run.version_id,
            )  # fmt: skip
            self._compiled[run.version_id] = None if found is None else self._told(spec_name, found)
        return self._compiled[run.version_id]

    def _find(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object | None:
        try:
            return self._ask(doing, call, **arguments)
        except _MissingError:
            return None

    def _ask(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object:
        began = time.monotonic()
        # JSON as it is: the client's own classes refuse values that they do not know.
        arguments |= {"_preload_content": False, "_request_timeout": TIMEOUT_S}
        try:
            content: bytes = patience.ask(
                lambda: call(**arguments).data, self._server, (ApiException, HTTPError), _passes, _message,
                self._patience_s,
            )  # fmt: skip
        except patience.AwayError:
            self._patience_s = max(0.0, self._patience_s - (time.monotonic() - began))
            raise
        except ApiException as error:
            raise self._refused(doing, error) from None
        return self._parsed(content)

    def _refused(self, doing: str, error: ApiException) -> Exception:
        if error.status == 404:
            return _MissingError() if _body(error).get("code") == NOT_FOUND else self._no_api()
        if error.status in (401, 403):
            return UserError(
                f"{self._server} does not let this account {doing} ({_message(error)}); give it a token in the file "
                f"that {TOKEN_VARIABLE} names, and a role for pipelines.kubeflow.org in namespace {self._namespace}"
            )
        return UserError(f"{self._server} cannot {doing} ({_message(error)}); mend what it names")

    def _parsed(self, content: bytes) -> Object:
        try:
            found = json.loads(content or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._no_api()
        return found

    def _told(self, read: Callable[[Object], Told], raw: Object) -> Told:
        try:
            return read(raw)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise self._no_api() from None

    def _no_api(self) -> UserError:
        return UserError(f"{self._server} does not answer as the API does; give the API server's URL, not a login's")


class _MissingError(Exception):
    """There is no such object."""


def _read_token(settings: Any) -> None:
    """Reads the token for each request: the kubelet renews it."""
    path = Path(os.environ.get(TOKEN_VARIABLE) or TOKEN)
    if path.exists():
        settings.api_key["authorization"] = path.read_text(encoding="utf-8").strip()


def _passes(error: Exception) -> bool:
    return not isinstance(error, ApiException) or error.status == 429 or error.status >= 500


def _message(error: Exception) -> str:
    """What an error says, in one line; never its headers."""
    if not isinstance(error, ApiException):
        return " ".join(str(error).split())
    body = _body(error)
    said = body.get("message") or body.get("error")
    return " ".join(str(said or f"{error.status} {error.reason}").split())


def _body(error: ApiException) -> Object:
    """What an error's answer tells; empty where that is no JSON object."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _unlike(state: str) -> Object:
    return {"operation": "NOT_EQUALS", "key": "state", "string_value": state}
