"""The few requests to a Kubernetes API server that are made: for TFJobs, their pods and logs, and one's own pod.

They are patient with an API server that is away.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.errors import UserError
from components.kubernetes.asking import TIMEOUT_S, ask, read, refusing, whole
from components.kubernetes.errors import refused, status
from components.kubernetes.tfjob import CONTAINER, GROUP, PLURAL, VERSION, Object

LOG_TIMEOUT_S = (10, 300)
"""To connect, and between two pieces of a log, in which nothing may come for long; then it is asked for again."""
POLL_S = 5.0
LABEL = "training.kubeflow.org/"
TAIL_LINES = 20
PAGE = 500


class ExistsError(Exception):
    """There is a TFJob of that name already."""


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
        found = read("read its own pod", self._core.read_namespaced_pod, name=self.pod, namespace=self.namespace)
        if found is None:
            raise UserError(f"there is no pod {self.pod} in namespace {self.namespace}; run this in a pod")
        return found

    def create(self, manifest: Object) -> None:
        """Makes a TFJob.

        Raises:
            ExistsError: there is one of that name.
            UserError: it is not allowed, over a quota, invalid, or the training operator is not installed.
        """
        try:
            ask(self._custom.create_namespaced_custom_object, **self._kind, body=manifest)
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
        return read("read TFJobs", self._custom.get_namespaced_custom_object, **self._kind, name=name)

    def jobs(self, labels: Mapping[str, str]) -> list[Object]:
        """The TFJobs that carry some labels; none where the cluster knows no TFJob.

        Raises:
            UserError: they may not be listed.
        """
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found: list[Object] = []
        page: dict[str, str] = {}
        while True:
            answer = read(
                "list TFJobs", self._custom.list_namespaced_custom_object,
                **self._kind, label_selector=selector, limit=PAGE, **page,
            )  # fmt: skip
            if answer is None:
                return []
            found += answer["items"]
            page = {"_continue": answer.get("metadata", {}).get("continue") or ""}
            if not page["_continue"]:
                return found

    def give_to(self, owner: Object, name: str, labels: Mapping[str, str]) -> None:
        """Lets a TFJob be deleted together with another owner than before, and gives it that one's labels.

        Raises:
            UserError: it may not be changed.
        """
        # The client sends a merge patch, in which a list stands for the whole list, and labels join the others.
        patch = {"metadata": {"ownerReferences": [owner], "labels": dict(labels)}}
        with refusing("change TFJobs"):
            ask(self._custom.patch_namespaced_custom_object, **self._kind, name=name, body=patch)

    def delete(self, name: str, outage_s: float | None = None, version: str | None = None) -> None:
        """Deletes a TFJob, which is gone only when its pods are.

        Args:
            name: the TFJob's; a gone one is no error.
            outage_s: how long the API server may be away; None: as long as usual.
            version: the resource version that it must still have; None for any.

        Raises:
            UserError: it may not be deleted, was changed since that version, or the API server was away.
        """
        body = {} if version is None else {"body": {"preconditions": {"resourceVersion": version}}}
        with refusing("delete TFJobs"):
            try:
                ask(
                    self._custom.delete_namespaced_custom_object, outage_s,
                    **self._kind, name=name, propagation_policy="Foreground", **body,
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
        found = read("list pods", self._core.list_namespaced_pod, namespace=self.namespace, label_selector=selector)
        return found["items"] if found else []

    def warnings(self, job: str) -> list[str]:
        """What was recorded as going wrong with a TFJob, the oldest first; empty where that may not be read."""
        selector = f"involvedObject.name={job},type=Warning"
        with contextlib.suppress(UserError):
            events = read(
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
        log = whole(self._core.read_namespaced_pod_log)
        options = {"container": CONTAINER, "tail_lines": TAIL_LINES}
        with contextlib.suppress(ApiException, UserError):
            text = ask(log, name=pod, namespace=self.namespace, **options).decode("utf-8", errors="replace")
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return ""
