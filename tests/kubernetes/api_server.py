"""A stand-in for a Kubernetes API server, over HTTP, with as much as TFJobs need; the test plays the operator."""

import copy
import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import yaml

Object = dict[str, Any]
NAMESPACE = "team"
STEP = "a-long-name-of-a-pipeline-abcde-system-container-impl-1234567890"
SCHEMA = Path(__file__).parent / "tfjobs.yaml"
JOBS = f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/tfjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
KINDS = {"Chief": "chief", "Worker": "worker", "PS": "ps"}


def strict_schema() -> Object:
    """The CRD's schema; unlike the API server, which drops them, it refuses fields that are not in it."""
    return close(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def close(node: Any) -> Any:
    """A schema that refuses fields that are not in it."""
    if isinstance(node, list):
        return [close(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: close(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "type" in node:
        closed.setdefault("additionalProperties", False)
    return closed


def step_pod(**container: Any) -> Object:
    """The step's own pod, as KFP makes it: Argo's sidecar first, KFP's and Argo's variables, a token, a shared disk."""
    label = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels['pipeline/runid']"}}
    main = {
        "name": "main",
        "image": "registry.example/evergreen-train:1f2e",
        "command": ["/var/run/argo/argoexec", "emissary", "--"],
        "env": [
            {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ARGO_TEMPLATE", "value": "{}"},
            {"name": "NAMESPACE", "value": NAMESPACE},
            {"name": "TF_CONFIG", "value": "{}"},
            {"name": "EVERGREEN_RUN", "valueFrom": label},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "secret"}}},
        ],
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}},
        "volumeMounts": [
            {"name": "work", "mountPath": "/mnt/shared"},
            {"name": "scratch", "mountPath": "/minio"},
            {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
        "imagePullPolicy": "IfNotPresent",
        **container,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": STEP,
            "namespace": NAMESPACE,
            "uid": "uid-of-the-step",
            "labels": {"pipeline/runid": "r1"},
        },
        "spec": {
            "containers": [{"name": "wait", "image": "argoexec"}, main],
            "serviceAccountName": "pipeline-runner",
            "nodeName": "node-7",
            "restartPolicy": "Never",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
            "volumes": [
                {"name": "work", "persistentVolumeClaim": {"claimName": "work"}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "argo", "emptyDir": {}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            ],
        },
        "status": {"phase": "Running"},
    }


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
    path.write_text(
        json.dumps({
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": context}],
            "current-context": "x",
        })
    )  # fmt: skip
    return path


class ApiServer:
    """The server and what it holds. `script` plays the operator: called in a thread of its own for each new TFJob."""

    @property
    def handler(self) -> type["Handler"]:
        return Handler

    def __init__(self) -> None:
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {STEP: step_pod()}
        self.logs: dict[str, list[str]] = {}
        self.events: list[Object] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.script: Callable[[ApiServer, str], None] = lambda server, name: None
        self.fault: Callable[[str, str, dict[str, str]], Object | int | str | None] = lambda method, path, query: None
        """Called for each request; gives a code, a `Status`, or "drop" to answer with instead."""
        self.mistakes: list[BaseException | None] = []
        """What went wrong in this server itself."""
        self.changed = threading.Condition()
        self._version = 0
        self._history: list[tuple[int, Object]] = []
        self._schema = jsonschema.Draft202012Validator(strict_schema())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (self.handler,), {"api": self}))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: self._note(sys.exc_info()[1])
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ApiServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.mistakes, self.mistakes

    def _note(self, error: BaseException | None) -> None:
        # A client that goes away is no news.
        if not isinstance(error, OSError):
            self.mistakes.append(error)

    # What the operator and the kubelet do.

    def condition(self, name: str, kind: str, reason: str = "", message: str = "") -> None:
        """Adds a condition to a job's status, as the operator does."""
        reason = reason or f"TFJob{kind}"
        found = {"type": kind, "status": "True", "reason": reason, "message": message or f"TFJob {name} is {kind}."}
        with self.changed:
            self.jobs[name].setdefault("status", {}).setdefault("conditions", []).append(found)
            self._save(name, "MODIFIED")

    def make_pods(self, name: str) -> list[str]:
        """Makes all pods of a job, running; gives their names, the chief's first."""
        specs = self.jobs[name]["spec"]["tfReplicaSpecs"]
        kinds = sorted(specs, key=list(KINDS).index)
        made = [self.make_pod(name, kind, index) for kind in kinds for index in range(specs[kind]["replicas"])]
        self.condition(name, "Running")
        return made

    def make_pod(self, name: str, kind: str = "Worker", index: int = 0, state: Object | None = None) -> str:
        """Makes one pod, in place of its forerunner where there is one."""
        specs = self.jobs[name]["spec"]["tfReplicaSpecs"]
        is_master = kind == "Chief" or (index == 0 and kind == "Worker" and "Chief" not in specs)
        labels = {
            "training.kubeflow.org/job-name": name,
            "training.kubeflow.org/replica-type": KINDS[kind],
            "training.kubeflow.org/replica-index": str(index),
            **({"training.kubeflow.org/job-role": "master"} if is_master else {}),
        }
        pod = f"{name}-{KINDS[kind]}-{index}"
        with self.changed:
            self._version += 1
            uid = f"uid-{self._version}"
            metadata = {"name": pod, "namespace": NAMESPACE, "labels": labels, "uid": uid}
            spec = copy.deepcopy(specs[kind]["template"]["spec"])
            self.pods[pod] = {"metadata": metadata, "spec": spec, "status": {}}
            self.logs[uid] = []
        self.state(pod, state or {"running": {}})
        return pod

    def state(self, pod: str, state: Object) -> None:
        """Sets the state of a pod's container."""
        with self.changed:
            code = state.get("terminated", {}).get("exitCode")
            phase = (
                "Pending" if "waiting" in state else "Running" if code is None else "Failed" if code else "Succeeded"
            )
            self.pods[pod]["status"] = {"phase": phase, "containerStatuses": [{"name": "tensorflow", "state": state}]}
            self.changed.notify_all()

    def end(self, pod: str, code: int, reason: str = "Error") -> None:
        """Ends a pod's process."""
        finished = f"2026-01-01T00:00:{len(self.requests) % 60:02d}Z"
        self.state(pod, {"terminated": {"exitCode": code, "reason": reason, "finishedAt": finished}})

    def write(self, pod: str, *lines: str, at: int | None = None) -> None:
        """Adds lines to a pod's log, each at a time of its own, or all at second `at` of one minute."""
        with self.changed:
            log = self.logs[self.pods[pod]["metadata"]["uid"]]
            for line in lines:
                second = len(log) if at is None else at
                log.append(f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000000000Z {line}")
            self.changed.notify_all()

    def touch(self, name: str) -> None:
        """Changes a job in nothing that matters, so that whoever watches it looks."""
        with self.changed:
            if name in self.jobs:
                self._save(name, "MODIFIED")

    def seen(self, method: str, path: str) -> list[tuple[dict[str, str], Any]]:
        """The query and body of each request to a path so far."""
        return [(query, body) for a, b, query, body in self.requests if (a, b) == (method, path)]

    # What the handler calls.

    def create(self, body: Object) -> Object:
        name = body["metadata"]["name"]
        with self.changed:
            if name in self.jobs:
                return status(409, f'tfjobs.kubeflow.org "{name}" already exists', "AlreadyExists")
            mistakes = [error.message for error in self._schema.iter_errors({**body, "metadata": {}})]
            if mistakes:
                return status(422, f'TFJob.kubeflow.org "{name}" is invalid: {mistakes[0]}', "Invalid")
            self.jobs[name] = copy.deepcopy(body)
            self.jobs[name]["metadata"]["uid"] = f"uid-of-{name}-{self._version}"
            self._save(name, "ADDED")
            created = copy.deepcopy(self.jobs[name])
        threading.Thread(target=self.script, args=(self, name), daemon=True).start()
        return created

    def list_jobs(self, query: dict[str, str]) -> Object:
        with self.changed:
            found = [job for job in self.jobs.values() if _carries(job, query["labelSelector"])]
            first, size = int(query.get("continue") or 0), int(query["limit"])
            rest = {"continue": str(first + size)} if len(found) > first + size else {}
            return {"kind": "TFJobList", "metadata": rest, "items": copy.deepcopy(found[first : first + size])}

    def delete(self, name: str, body: Any = None) -> Object:
        with self.changed:
            wanted = ((body or {}).get("preconditions") or {}).get("resourceVersion")
            if wanted not in (None, self.jobs[name]["metadata"].get("resourceVersion")):
                return status(409, f"Precondition failed: ResourceVersion in precondition: {wanted}", "Conflict")
            self._save(name, "DELETED")
            for pod in [pod for pod in self.pods if pod.startswith(f"{name}-")]:
                del self.pods[pod]
            return self.jobs.pop(name)

    def patch(self, name: str, change: Object) -> Object:
        with self.changed:
            metadata = change.pop("metadata")
            self.jobs[name]["metadata"].setdefault("labels", {}).update(metadata.pop("labels", {}))
            self.jobs[name]["metadata"].update(metadata)
            assert not change, "only metadata is expected to be patched"
            self._save(name, "MODIFIED")
            return self.jobs[name]

    def _save(self, name: str, kind: str) -> None:
        self._version += 1
        self.jobs[name]["metadata"]["resourceVersion"] = str(self._version)
        self._history.append((self._version, {"type": kind, "object": copy.deepcopy(self.jobs[name])}))
        self.changed.notify_all()

    def events_since(self, version: int, name: str) -> list[Object]:
        return [event for at, event in self._history if at > version and event["object"]["metadata"]["name"] == name]


def status(code: int, message: str, reason: str) -> Object:
    """An error as the API server words it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def _carries(found: Object, selector: str) -> bool:
    wanted = dict(pair.split("=") for pair in selector.split(","))
    return wanted.items() <= found["metadata"].get("labels", {}).items()


class Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        self.api.requests.append((self.command, split.path, query, body))
        fault = self.api.fault(self.command, split.path, query)
        if fault == "drop":
            self._drop()
        elif isinstance(fault, int):
            self._send(fault, {}, text="upstream connect error")
        elif fault is not None:
            self._send(fault.get("code", 200), fault)
        else:
            self._route(split.path, query, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _route(self, path: str, query: dict[str, str], body: Any) -> None:
        api, name = self.api, path.rpartition("/")[2]
        if path == JOBS and self.command == "POST":
            found = api.create(body)
            self._send(found["code"] if found["kind"] == "Status" else 201, found)
        elif path == JOBS and query.get("watch"):
            self._watch(query)
        elif path == JOBS:
            self._send(200, api.list_jobs(query))
        elif path.endswith("/log"):
            self._log(path.split("/")[-2], query)
        elif path == PODS:
            with api.changed:
                found = [pod for pod in api.pods.values() if _carries(pod, query["labelSelector"])]
                self._send(200, {"kind": "PodList", "items": copy.deepcopy(found)})
        elif path == EVENTS:
            self._send(200, {"kind": "EventList", "items": api.events})
        elif path.startswith(PODS) and name in api.pods:
            self._send(200, api.pods[name])
        elif path.startswith(JOBS) and name in api.jobs:
            self._job(name, body)
        else:
            self._send(404, status(404, f'"{name}" not found', "NotFound"))

    def _job(self, name: str, body: Any) -> None:
        if self.command == "DELETE":
            found = self.api.delete(name, body)
            self._send(found.get("code", 200), found)
        elif self.command == "PATCH":
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._send(200, self.api.patch(name, body))
        else:
            self._send(200, self.api.jobs[name])

    def _watch(self, query: dict[str, str]) -> None:
        version, name = int(query["resourceVersion"]), query["fieldSelector"].removeprefix("metadata.name=")
        ends = time.monotonic() + float(query["timeoutSeconds"])
        self._begin_stream()
        while time.monotonic() < ends:
            with self.api.changed:
                events = self.api.events_since(version, name)
                if not events:
                    self.api.changed.wait(0.05)
            for event in events:
                version = int(event["object"]["metadata"]["resourceVersion"])
                self._chunk(json.dumps(event) + "\n")
        self._chunk("")

    def _log(self, name: str, query: dict[str, str]) -> None:
        pod = self.api.pods.get(name)
        if pod is None:
            return self._send(404, status(404, f'pods "{name}" not found', "NotFound"))
        if pod["status"]["phase"] == "Pending":
            return self._send(400, status(400, f'container "tensorflow" in pod "{name}" is waiting', "BadRequest"))
        uid, sent = pod["metadata"]["uid"], 0
        lines = self.api.logs[uid]
        if "tailLines" in query:
            text = "".join(line.partition(" ")[2] + "\n" for line in lines[-int(query["tailLines"]) :])
            return self._send(200, {}, text=text)
        self._begin_stream()
        while True:
            with self.api.changed:
                if sent == len(lines) and pod["status"]["phase"] == "Running" and self.api.pods.get(name) is pod:
                    self.api.changed.wait(0.05)
                fresh, is_over = lines[sent:], pod["status"]["phase"] != "Running" or self.api.pods.get(name) is not pod
            for line in fresh:
                sent += 1
                if line.endswith("DROP"):
                    lines[sent - 1] = line.removesuffix("DROP")
                    # Half a line, and the connection is gone.
                    self._chunk(line[:40])
                    return self._drop()
                self._chunk(line + "\n")
            if is_over and sent == len(lines):
                return self._chunk("")

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, text: str) -> None:
        content = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _send(self, code: int, found: Object, text: str | None = None) -> None:
        content = (json.dumps(found) if text is None else text).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json" if text is None else "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
