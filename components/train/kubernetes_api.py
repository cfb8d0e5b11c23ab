"""The few requests to a Kubernetes API server that a TFJob needs, patient with an API server that is away."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from components.errors import UserError
from components.train.kubernetes_errors import message, passes, refused, status
from components.train.tfjob_manifest import CONTAINER, GROUP, PLURAL, VERSION, Object

log = logging.getLogger(__name__)
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S = (10, 30)
"""To connect, and between two pieces of an answer."""
LOG_TIMEOUT_S = (10, 300)
"""The same for a log, in which nothing may come for long; then it is asked for again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
OUTAGE_S = 15 * 60.0
POLL_S = 5.0
LABEL = "training.kubeflow.org/"
TAIL_LINES = 20


class ExistsError(Exception):
    """There is a TFJob of that name already."""


def connect() -> "Cluster":
    """The cluster that this pod runs in; elsewhere the one of the kubeconfig.

    Raises:
        UserError: there is neither.
    """
    settings = client.Configuration()
    try:
        try:
            config.load_incluster_config(settings)
            namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        except ConfigException:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
            context = config.list_kube_config_contexts(os.environ.get("KUBECONFIG"))[1]["context"]
            namespace = context.get("namespace", "default")
    except (ConfigException, OSError) as error:
        raise UserError(f"train.launch is tfjob, but this is no pod of a cluster ({error}); use local") from None
    # A host name is cut at 63 characters, which pods of KFP exceed; KFP tells the whole name.
    pod = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    return Cluster(client.ApiClient(settings), namespace, pod)


@dataclass
class Cluster:
    """One namespace of a cluster, seen from one pod. Objects are as the API server writes them."""

    api: client.ApiClient
    namespace: str
    pod: str

    def __post_init__(self) -> None:
        self._core = client.CoreV1Api(self.api)
        self._custom = client.CustomObjectsApi(self.api)
        self._kind = {"group": GROUP, "version": VERSION, "namespace": self.namespace, "plural": PLURAL}

    def own_pod(self) -> Object:
        """The pod that this process runs in.

        Raises:
            UserError: there is none of that name, or it may not be read.
        """
        found = self._read("read its own pod", self._core.read_namespaced_pod, name=self.pod, namespace=self.namespace)
        if found is None:
            raise UserError(f"there is no pod {self.pod} in namespace {self.namespace}; run the step in a pod")
        return found

    def create(self, manifest: Object) -> None:
        """Makes a TFJob.

        Raises:
            ExistsError: there is one of that name.
            UserError: it is not allowed, over a quota, invalid, or the training operator is not installed.
        """
        try:
            self._ask(self._custom.create_namespaced_custom_object, **self._kind, body=manifest)
        except ApiException as error:
            if error.status == 409 and status(error).get("reason") == "AlreadyExists":
                raise ExistsError from None
            if error.status == 404:
                raise UserError(
                    "the cluster knows no TFJob (kubeflow.org/v1); install the training operator (v1), or use "
                    "train.launch local"
                ) from None
            raise refused("create a TFJob", error) from None

    def find(self, name: str) -> Object | None:
        """A TFJob; None where there is none.

        Raises:
            UserError: it may not be read.
        """
        return self._read("read TFJobs", self._custom.get_namespaced_custom_object, **self._kind, name=name)

    def give_to(self, owner: Object, name: str) -> None:
        """Lets a TFJob be deleted together with another owner than before.

        Raises:
            UserError: it may not be changed.
        """
        # The client sends a merge patch, in which a list stands for the whole list.
        patch = {"metadata": {"ownerReferences": [owner]}}
        with self._refusing("change TFJobs"):
            self._ask(self._custom.patch_namespaced_custom_object, **self._kind, name=name, body=patch)

    def delete(self, name: str, outage_s: float = OUTAGE_S) -> None:
        """Deletes a TFJob, which is gone only when its pods are.

        Raises:
            UserError: it may not be deleted, or the API server was away for `outage_s`.
        """
        with self._refusing("delete TFJobs"):
            try:
                self._ask(
                    self._custom.delete_namespaced_custom_object, outage_s,
                    **self._kind, name=name, propagation_policy="Foreground",
                )  # fmt: skip
            except ApiException as error:
                if error.status != 404:
                    raise

    def pods(self, job: str, **labels: str) -> list[Object]:
        """The pods of a TFJob that carry some more of the operator's labels, given without their prefix.

        Raises:
            UserError: they may not be listed.
        """
        wanted = {"job_name": job, **labels}
        selector = ",".join(f"{LABEL}{name.replace('_', '-')}={value}" for name, value in wanted.items())
        found = self._read(
            "list pods", self._core.list_namespaced_pod, namespace=self.namespace, label_selector=selector
        )
        return found["items"] if found else []

    def warnings(self, job: str) -> list[str]:
        """What was recorded as going wrong with a TFJob, the oldest first; empty where that may not be read."""
        selector = f"involvedObject.name={job},type=Warning"
        with contextlib.suppress(UserError):
            events = self._read(
                "list events", self._core.list_namespaced_event, namespace=self.namespace, field_selector=selector
            )
            items = sorted(events["items"] if events else [], key=lambda event: event.get("lastTimestamp") or "")
            return [event["message"] for event in items]
        return []

    def wait_for_change(self, job: Object) -> None:
        """Returns when a TFJob has changed since it was read, and now and then without.

        Nothing depends on it: where watching fails (connection dropped, version too old, not allowed), it only waits.
        """
        began = time.monotonic()
        changes = watch.Watch().stream(
            self._custom.list_namespaced_custom_object,
            **self._kind,
            field_selector=f"metadata.name={job['metadata']['name']}",
            resource_version=job["metadata"]["resourceVersion"],
            timeout_seconds=max(1, round(POLL_S)),
            _request_timeout=TIMEOUT_S,
        )
        with contextlib.suppress(ApiException, HTTPError):
            for _ in changes:
                return
        time.sleep(max(0.0, POLL_S - (time.monotonic() - began)))

    def follow_log(self, pod: str) -> Iterator[str]:
        """The lines of a pod's log from its beginning, each after its time and a blank, until the container ends.

        Raises:
            ApiException, HTTPError: it cannot be had, or the connection broke.
        """
        return watch.Watch().stream(
            self._core.read_namespaced_pod_log,
            name=pod, namespace=self.namespace, container=CONTAINER,
            follow=True, timestamps=True, _request_timeout=LOG_TIMEOUT_S,
        )  # fmt: skip

    def last_words(self, pod: str) -> str:
        """The last line of a pod's log that is not blank; empty where there is none, or it cannot be had."""
        read = _whole(self._core.read_namespaced_pod_log)
        options = {"container": CONTAINER, "tail_lines": TAIL_LINES}
        with contextlib.suppress(ApiException, UserError):
            text = self._ask(read, name=pod, namespace=self.namespace, **options).decode("utf-8", errors="replace")
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return ""

    def _read(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Object | None:
        """An object as it is in the answer: the client's own classes leave out what they do not know."""
        with self._refusing(doing):
            try:
                found: Object = json.loads(self._ask(_whole(call), **arguments))
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        return found

    def _ask(self, call: Callable[..., Any], outage_s: float | None = None, /, **arguments: Any) -> Any:
        began, pause_s = time.monotonic(), FIRST_PAUSE_S
        limit_s = OUTAGE_S if outage_s is None else outage_s
        while True:
            try:
                return call(**arguments, _request_timeout=TIMEOUT_S)
            except (ApiException, HTTPError) as error:
                if not passes(error):
                    raise
                if time.monotonic() - began + pause_s > limit_s:
                    raise UserError(
                        f"the API server of Kubernetes was away for {limit_s / 60:.2g} minutes ({message(error)}); "
                        "run again when it is back"
                    ) from None
                log.warning("the API server does not answer (%s); asked again in %.1f s", message(error), pause_s)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @contextlib.contextmanager
    def _refusing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise refused(doing, error) from None


def _whole(call: Callable[..., Any]) -> Callable[..., bytes]:
    """A call that gives the bytes of its answer."""

    def read(**arguments: Any) -> bytes:
        content: bytes = call(**arguments, _preload_content=False).data
        return content

    return read
