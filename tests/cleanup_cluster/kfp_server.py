"""A stand-in for the API server of Kubeflow Pipelines (v2beta1), over HTTP, with as much as cleaning up asks for.

It answers as `backend/src/apiserver` of kubeflow/pipelines 2.17 does: JSON with names in snake_case, at most 200 runs a
page, page tokens that stand for order and filter, a run from an uploaded version without its specification, 404 for
what is gone, and cache entries that go with their run.
"""

import base64
import json
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]
API = "/apis/v2beta1"
NAMESPACE = "team"
MOST_A_PAGE = 200
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 500: 13, 503: 14}
FIELDS = {"created_at", "state", "storage_state", "display_name", "run_id"}


def stamp(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def failure(message: str, code: int) -> Object:
    return {"error": message, "code": CODES[code], "message": message, "details": []}


class KfpServer:
    """The server and what it holds."""

    def __init__(self) -> None:
        self.runs: dict[str, Object] = {}
        self.namespaces: dict[str, str] = {}
        """The namespace of each run."""
        self.pipelines: dict[str, str] = {}
        """Names by id."""
        self.versions: dict[str, str] = {}
        """The names that versions were compiled with, by id."""
        self.cache: dict[str, str] = {}
        """The run that a task's fingerprint finds."""
        self.token: str | None = None
        """What a client must bring; None where anybody may come."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.fault: Callable[[str, str], int | None] = lambda method, path: None
        """Called for each request; gives a code to answer with instead."""
        self.proxy: Callable[[str, str], bool] = lambda method, path: False
        """Whether a proxy that knows no way to the API answers instead, with a page of its own."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kfp": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "KfpServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def upload(self, name: str, compiled: str | None = None) -> str:
        """Uploads a pipeline with one version; the version's id is the pipeline's with `-v` behind it."""
        self.pipelines[name] = name
        self.versions[f"{name}-v"] = compiled or name
        return name

    def run(
        self,
        run: str,
        created_s: float,
        pipeline: str = "evergreen-flights",
        state: str = "SUCCEEDED",
        inline: bool = False,
        namespace: str = NAMESPACE,
        workflow: str | None = None,
        minutes: float = 30,
        root: str | None = None,
    ) -> str:
        """Adds a run, from an uploaded pipeline or with its specification."""
        over = state not in ("PENDING", "RUNNING", "CANCELING", "PAUSED")
        found: Object = {
            "run_id": run,
            "display_name": f"run {run}",
            "experiment_id": "default",
            "storage_state": "AVAILABLE",
            "state": state,
            "created_at": stamp(created_s),
            "scheduled_at": stamp(created_s),
            "finished_at": stamp(created_s + 60 * minutes if over else 0),
        }
        if workflow is not None:
            child = {"pod_name": f"{workflow}-system-container-impl-123456"}
            tasks = [{"display_name": "root"}, {"display_name": "train", "child_tasks": [child]}]
            found["run_details"] = {"task_details": tasks}
        if root is not None:
            found["runtime_config"] = {"pipeline_root": root}
        if inline:
            found["pipeline_spec"] = {"pipeline_spec": {"pipelineInfo": {"name": pipeline}}, "platform_spec": {}}
        else:
            if pipeline not in self.pipelines:
                self.upload(pipeline)
            found["pipeline_version_reference"] = {"pipeline_id": pipeline, "pipeline_version_id": f"{pipeline}-v"}
        self.runs[run], self.namespaces[run] = found, namespace
        return run

    def seen(self, method: str) -> list[str]:
        """The paths below the API that were asked for with a method so far."""
        return [path.removeprefix(API) for asked, path, _ in self.requests if asked == method]

    # What the handler calls.

    def list_runs(self, query: dict[str, str]) -> tuple[int, Object]:
        order, only = query.get("sort_by", ""), json.loads(unquote(query.get("filter", "{}")))
        first = 0
        if "page_token" in query:
            token = json.loads(base64.b64decode(query["page_token"]))
            if (order or only) and [order, only] != token[:2]:
                return 400, failure("page token does not match the supplied sort by and/or filtering criteria", 400)
            order, only, first = token
        field, _, direction = order.partition(" ")
        predicates = only.get("predicates", [])
        if {field or "run_id", *(one["key"] for one in predicates)} - FIELDS:
            return 400, failure("no support for an unrecognized field", 400)
        found = [run for run in self.runs.values() if self.namespaces[run["run_id"]] == query["namespace"]]
        found = [run for run in found if all(_holds(run, one) for one in predicates)]
        found.sort(key=lambda run: (run[field or "run_id"], run["run_id"]), reverse=direction == "desc")
        size = min(int(query.get("page_size") or 20), MOST_A_PAGE)
        page: Object = {"runs": found[first : first + size], "total_size": len(found)}
        if len(found) > first + size:
            page["next_page_token"] = base64.b64encode(json.dumps([order, only, first + size]).encode()).decode()
        return 200, page

    def delete(self, run: str) -> tuple[int, Object]:
        del self.runs[run], self.namespaces[run]
        self.cache = {fingerprint: found for fingerprint, found in self.cache.items() if found != run}
        return 200, {}


def _holds(run: Object, predicate: Object) -> bool:
    operations = {"EQUALS": str.__eq__, "NOT_EQUALS": str.__ne__}
    return operations[predicate["operation"]](run[predicate["key"]], predicate["string_value"])


class _Handler(BaseHTTPRequestHandler):
    kfp: KfpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.kfp.requests.append((self.command, split.path, query))
        code = self.kfp.fault(self.command, split.path)
        if self.kfp.proxy(self.command, split.path):
            self._send_bytes(404, "text/html", b"<html>default backend - 404</html>")
        elif code is not None:
            self._send(code, failure("Internal Server Error", code))
        elif self.kfp.token is not None and self.headers["Authorization"] != f"Bearer {self.kfp.token}":
            self._send(401, failure("Request header error: there is no user identity header.", 401))
        else:
            self._send(*self._route(split.path.removeprefix(API).strip("/").split("/"), query))

    do_GET = do_DELETE = _answer  # noqa: N815

    def _route(self, parts: list[str], query: dict[str, str]) -> tuple[int, Object]:
        kfp = self.kfp
        if parts == ["runs"]:
            return kfp.list_runs(query)
        if parts[0] == "runs" and parts[1] in kfp.runs:
            if kfp.namespaces[parts[1]] != NAMESPACE:
                return 403, failure("Failed to authorize the request: User cannot get runs", 403)
            return kfp.delete(parts[1]) if self.command == "DELETE" else (200, kfp.runs[parts[1]])
        if parts[0] == "pipelines" and len(parts) == 2 and parts[1] in kfp.pipelines:
            return 200, {"pipeline_id": parts[1], "name": kfp.pipelines[parts[1]], "display_name": "shown"}
        if parts[0] == "pipelines" and len(parts) == 4 and parts[3] in kfp.versions:
            spec = {"pipeline_spec": {"pipelineInfo": {"name": kfp.versions[parts[3]]}}}
            return 200, {"pipeline_id": parts[1], "pipeline_version_id": parts[3], "pipeline_spec": spec}
        return 404, failure(f"ResourceNotFoundError: {parts[0]} {parts[-1]} not found", 404)

    def _send(self, code: int, found: Object) -> None:
        self._send_bytes(code, "application/json", json.dumps(found).encode())

    def _send_bytes(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
