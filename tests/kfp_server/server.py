"""A stand-in for the API server of Kubeflow Pipelines (v2beta1), over HTTP or HTTPS.

It answers as `backend/src/apiserver` of kubeflow/pipelines 2.17 does: JSON with names in snake_case, at most 200
objects a page, page tokens that stand for order and filter, a run from an uploaded version without its specification,
404 for what is gone, cache entries that go with their run, names that are unique where an index makes them so.
"""

import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.kfp_server import pipelines, runs
from tests.kfp_server.answers import Object, RefusedError, failure, missing, stamp

API = "/apis/v2beta1"
NAMESPACE = "team"


class KfpServer:
    """The server and what it holds."""

    def __init__(self, multi_user: bool = False, certificate: tuple[Path, Path] | None = None) -> None:
        """Starts nothing yet.

        Args:
            multi_user: whether every request must name a namespace.
            certificate: files of the certificate and of its key, for HTTPS.
        """
        self.multi_user, self.namespace = multi_user, NAMESPACE
        self.runs: dict[str, Object] = {}
        self.namespaces: dict[str, str] = {}
        """The namespace of each run."""
        self.pipelines: dict[str, Object] = {}
        self.versions: dict[str, Object] = {}
        self.experiments: dict[str, Object] = {}
        self.recurring: dict[str, Object] = {}
        self.most_enabled = 0
        """How many recurring runs of one experiment were enabled at once, at most."""
        self.cache: dict[str, str] = {}
        """The run that a task's fingerprint finds."""
        self.token: str | None = None
        """What a client must bring; None where anybody may come."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Object] = []
        """What came as JSON with requests that change something."""
        self.fault: Callable[[str, str], int | None] = lambda method, path: None
        """Called for each request; gives a code to answer with instead of doing it."""
        self.lost: Callable[[str, str], bool] = lambda method, path: False
        """Whether a request is done, but the connection breaks before the answer."""
        self.proxy: Callable[[str, str], bool] = lambda method, path: False
        """Whether a proxy that knows no way to the API answers instead, with a page of its own."""
        self.login: str | None = None
        """Where requests are sent that bring no token, by a redirection; None where there is no login."""
        self.now_s = time.time()
        self._ids = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"kfp": self}))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "KfpServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def upload(self, name: str, compiled: str | None = None) -> str:
        """Uploads a pipeline with one version; the version's id is the pipeline's with `-v` behind it."""
        self.pipelines[name] = {"pipeline_id": name, "name": name, "display_name": "shown"}
        self.version(f"{name}-v", name, compiled or name)
        return name

    def version(self, version: str, pipeline: str, compiled: str) -> None:
        """Adds a version that was compiled with a name."""
        spec = {"pipeline_spec": {"pipelineInfo": {"name": compiled}}}
        found = {"pipeline_id": pipeline, "pipeline_version_id": version, "name": version, "pipeline_spec": spec}
        self.versions[version] = found

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

    def fire(self, recurring: str, scheduled_s: float, state: str = "SUCCEEDED") -> str:
        """Adds a run that a recurring run started."""
        of = self.recurring[recurring]
        run = self.run(self.new_id("run"), scheduled_s, state=state)
        self.runs[run] |= {"experiment_id": of["experiment_id"], "recurring_run_id": recurring}
        return run

    def seen(self, method: str) -> list[str]:
        """The paths below the API that were asked for with a method so far."""
        return [path.removeprefix(API) for asked, path, _ in self.requests if asked == method]

    # What the handlers call.

    def new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}-{self._ids}"

    def tick(self) -> float:
        """The time of something new: no two have the same, though times are told in whole seconds."""
        self.now_s += 1
        return self.now_s

    def replaced(self, namespace: str) -> str:
        """A single-user installation has no namespaces."""
        return namespace if self.multi_user else ""

    def needed(self, namespace: str) -> str:
        """The same where a namespace must be given, and must be the user's."""
        if self.multi_user and not namespace:
            raise RefusedError(400, "Namespace is empty. Please specify a valid namespace.")
        if self.multi_user and namespace != self.namespace:
            raise RefusedError(403, f"User is not authorized to access namespace {namespace}")
        return self.replaced(namespace)

    def list_runs(self, query: dict[str, str]) -> Object:
        return runs.list_runs(self, query)

    def note_enabled(self) -> None:
        for experiment in {one["experiment_id"] for one in self.recurring.values()}:
            states = [one["status"] for one in self.recurring.values() if one["experiment_id"] == experiment]
            self.most_enabled = max(self.most_enabled, states.count("ENABLED"))

    def remove_recurring(self, name: str) -> None:
        """Takes the workflows with it, as Kubernetes does: a run at work is at work no more."""
        del self.recurring[name]
        for run in self.runs.values():
            if run.get("recurring_run_id") == name and run["state"] in ("PENDING", "RUNNING"):
                run["state"] = "FAILED"

    def delete(self, run: str) -> Object:
        del self.runs[run], self.namespaces[run]
        self.cache = {fingerprint: found for fingerprint, found in self.cache.items() if found != run}
        return {}

    def answer(self, method: str, path: str, query: dict[str, str], kind: str, content: bytes) -> Object:
        """What is asked for, done.

        Raises:
            RefusedError: it is not.
        """
        kind_of, *parts = [unquote(part) for part in path.removeprefix(API).strip("/").split("/")]
        with self._lock:
            if kind_of == "healthz":
                return {"multi_user": True} if self.multi_user else {}
            if kind_of == "pipelines" and parts[:1] in (["upload"], ["upload_version"]):
                return pipelines.upload(self, path, query, kind, content)
            body = json.loads(content or b"{}") if method in ("POST", "PATCH") else {}
            self.bodies += [body] if body else []
            answers = {
                "pipelines": pipelines.answer,
                "experiments": runs.answer_experiments,
                "runs": runs.answer_runs,
                "recurringruns": runs.answer_recurring,
            }
            if kind_of not in answers:
                raise missing(kind_of, "/".join(parts))
            return answers[kind_of](self, method, parts, query, body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed, or refuses our certificate, is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    kfp: KfpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        kfp, split = self.kfp, urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kfp.requests.append((self.command, split.path, query))
        code = kfp.fault(self.command, split.path)
        allowed = kfp.token is None or self.headers["Authorization"] == f"Bearer {kfp.token}"
        if kfp.proxy(self.command, split.path):
            self._send(404, "text/html", b"<html>default backend - 404</html>")
        elif code is not None:
            self._send_json(code, failure("Internal Server Error", code))
        elif not allowed and kfp.login is not None and "Authorization" not in self.headers:
            self._send(302, "text/html", b"<html>login</html>", kfp.login)
        elif not allowed:
            self._send_json(401, failure("Request header error: there is no user identity header.", 401))
        else:
            self._do(split.path, query, content)

    do_GET = do_DELETE = do_POST = do_PATCH = _answer  # noqa: N815

    def _do(self, path: str, query: dict[str, str], content: bytes) -> None:
        uploads = "/pipelines/upload" in path
        try:
            code, found = 200, self.kfp.answer(self.command, path, query, self.headers["Content-Type"] or "", content)
        except RefusedError as error:
            words = str(error)
            code, found = error.code, {"error_message": words, "error_details": words} if uploads else None
            found = found or failure(words, code)
        if self.kfp.lost(self.command, path):
            self.close_connection = True
        else:
            self._send_json(code, found)

    def _send_json(self, code: int, found: Object) -> None:
        self._send(code, "application/json", json.dumps(found).encode())

    def _send(self, code: int, kind: str, content: bytes, location: str | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(content)
