"""A stand-in for an API server with KServe, over HTTP: one InferenceService, its pods, and what answers for it.

`behave` plays the controller of KServe and the kubelet: it is called in a thread of its own for each new spec. As with
the real ones (KServe 0.21, Standard mode) the InferenceService is Ready and has its address as soon as any pod answers,
of whichever version.
"""

import copy
import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from components import artifacts
from components.storage.open import open_storage
from tests.kubernetes.api_server import NAMESPACE, PODS, ApiServer, Handler, Object, close, status

SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
CRD = Path(__file__).parents[3] / "shared" / "crds" / "inferenceservices.yaml"
VERSION_LABEL = "evergreen/version"
NAME_LABEL = "serving.kserve.io/inferenceservice"
READY = [{"type": "Ready", "status": "True"}]


@functools.cache
def schema() -> jsonschema.Draft202012Validator | None:
    """The CRD's schema, which refuses unknown fields here; None where it is not on this machine."""
    if not CRD.exists():
        return None
    (version,) = yaml.load(CRD.read_bytes(), yaml.CSafeLoader)["spec"]["versions"]
    return jsonschema.Draft202012Validator(close(version["schema"]["openAPIV3Schema"]))


class InferenceServer(ApiServer):
    """The server, and what it holds."""

    def __init__(self) -> None:
        self.services: dict[str, Object] = {}
        self.model_pods: dict[str, Object] = {}
        self.behave: Callable[[InferenceServer, Object], None] = comes_up
        self.wrong = 0.0
        """Added to every answer."""
        self.says_version = True
        self.answered: Callable[[str, str], None] = lambda method, path: None
        """Called when a request was done, before it is answered."""
        self.answers_at = ""
        """URL of what answers in place of this server itself."""
        super().__init__()

    @property
    def handler(self) -> type[Handler]:
        return _Handler

    # What the controller and the kubelet do.

    def start_pods(self, service: Object, states: Object | None = None) -> None:
        """Makes the pod of a service's present spec, beside the others; ready, unless states are given."""
        predictor = service["spec"]["predictor"]
        with self.changed:
            self._version += 1
            name = f"{service['metadata']['name']}-predictor-{self._version}"
            labels = {**predictor.get("labels", {}), NAME_LABEL: service["metadata"]["name"]}
            state = states or {"phase": "Running", "conditions": READY}
            metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
            self.model_pods[name] = {"metadata": metadata, "status": state, "uri": predictor["model"]["storageUri"]}

    def stop_others(self, service: Object) -> None:
        """Takes away the pods that are not of a service's present spec."""
        uri = service["spec"]["predictor"]["model"]["storageUri"]
        with self.changed:
            self.model_pods = {name: pod for name, pod in self.model_pods.items() if pod["uri"] == uri}

    def show(self, name: str, **more: Any) -> None:
        """Writes the status of a service."""
        with self.changed:
            if name in self.services:
                address = {"url": self.answers_at or self.url}
                self.services[name]["status"] = {"conditions": READY, "address": address, **more}
                self._stamp(name)

    def answering(self) -> Object | None:
        """A ready pod, the oldest first."""
        ready = [pod for pod in self.model_pods.values() if READY[0] in pod["status"].get("conditions", [])]
        return ready[0] if ready else None

    # What the handler calls.

    def make(self, body: Object) -> Object:
        name = body["metadata"]["name"]
        with self.changed:
            if name in self.services:
                return status(409, f'inferenceservices.serving.kserve.io "{name}" already exists', "AlreadyExists")
            if invalid := _invalid(body):
                return invalid
            self.services[name] = copy.deepcopy(body)
            self.services[name]["metadata"].update(uid=f"uid-{self._version}", generation=1)
            self._stamp(name)
            made = copy.deepcopy(self.services[name])
        self._behave(made)
        return made

    def put(self, name: str, body: Object) -> Object:
        with self.changed:
            held = self.services[name]
            if body["metadata"].get("resourceVersion") != held["metadata"]["resourceVersion"]:
                return status(409, "the object has been modified; please apply your changes", "Conflict")
            if invalid := _invalid(body):
                return invalid
            is_new = body["spec"] != held["spec"]
            assert body["metadata"].get("annotations") == held["metadata"].get("annotations"), "pods would restart"
            held["spec"] = copy.deepcopy(body["spec"])
            held["metadata"]["generation"] += is_new
            self._stamp(name)
            made = copy.deepcopy(held)
        if is_new:
            self._behave(made)
        return made

    def remove(self, name: str, body: Any) -> Object:
        with self.changed:
            held = self.services[name]["metadata"]
            wanted = (body or {}).get("preconditions") or {}
            if any(held[key] != value for key, value in wanted.items()):
                return status(409, "Precondition failed", "Conflict")
            self.model_pods.clear()
            return self.services.pop(name)

    def predict(self, body: Object) -> tuple[int, Object, dict[str, str]]:
        pod = self.answering()
        if pod is None:
            return 503, {"error": "no endpoints"}, {}
        told = pod["metadata"]["labels"].get(VERSION_LABEL, "").partition("-")[0]
        folder = pod["uri"].removesuffix(f"/{artifacts.SERVING}")
        questions = artifacts.parse_questions(open_storage(folder).read(artifacts.RECORDED_REQUESTS))
        (instance,) = body["instances"]
        expected = next((one.expected for one in questions if one.instance == instance), None)
        if expected is None:
            return 400, {"error": "nothing is recorded of that"}, {}
        header = {"model-version": told} if told and self.says_version else {}
        return 200, {"predictions": [expected + self.wrong]}, header

    def _behave(self, service: Object) -> None:
        threading.Thread(target=self.behave, args=(self, service), daemon=True).start()

    def _stamp(self, name: str) -> None:
        self._version += 1
        self.services[name]["metadata"]["resourceVersion"] = str(self._version)


def comes_up(server: InferenceServer, service: Object) -> None:
    """The controller of a good version: new pods, then no old ones."""
    server.start_pods(service)
    server.stop_others(service)
    server.show(service["metadata"]["name"])


def never_comes_up(server: InferenceServer, service: Object) -> None:
    """The controller of a version whose pods cannot start: the old ones go on, and the InferenceService is ready."""
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    if any(pod["uri"] == uri and READY[0] in pod["status"].get("conditions", ()) for pod in server.model_pods.values()):
        comes_up(server, service)
        return
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}}
    server.start_pods(service, {"phase": "Pending", "containerStatuses": [waiting]})
    server.show(service["metadata"]["name"])


def _invalid(body: Object) -> Object | None:
    validator = schema()
    plain = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    mistakes = [error.message for error in validator.iter_errors(plain)] if validator else []
    return status(422, f"InferenceService is invalid: {mistakes[0]}", "Invalid") if mistakes else None


class _Handler(Handler):
    api: InferenceServer

    def _route(self, path: str, query: dict[str, str], body: Any) -> None:
        name = path.rpartition("/")[2]
        if path.startswith("/v1/models/"):
            code, answer, headers = self.api.predict(body)
            self._done(code, answer, headers)
        elif path == PODS and query.get("labelSelector", "").startswith(NAME_LABEL):
            with self.api.changed:
                self._done(200, {"kind": "PodList", "items": copy.deepcopy(list(self.api.model_pods.values()))})
        elif path == SERVICES and self.command == "POST":
            found = self.api.make(body)
            self._done(found.get("code", 201), found)
        elif path.startswith(f"{SERVICES}/") and name in self.api.services:
            self._service(name, body)
        else:
            super()._route(path, query, body)

    def _service(self, name: str, body: Any) -> None:
        if self.command == "PUT":
            found = self.api.put(name, body)
        elif self.command == "DELETE":
            found = self.api.remove(name, body)
        else:
            with self.api.changed:
                found = copy.deepcopy(self.api.services[name])
        self._done(found.get("code", 200), found)

    def _done(self, code: int, found: Object, headers: dict[str, str] | None = None) -> None:
        if self.api.answered(self.command, self.path.partition("?")[0]) == "drop":
            return self._drop()
        content = json.dumps(found).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return self.wfile.write(content) and None
