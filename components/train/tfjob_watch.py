"""Whether a running TFJob still gets anywhere: pods that cannot be made or started, or are started ever again."""

import logging
import time
from collections.abc import Iterator, Mapping

from components.errors import UserError
from components.kubernetes.api import Cluster
from components.kubernetes.tfjob import CONTAINER, Object
from components.train.tfjob_config import TFJobSettings

log = logging.getLogger(__name__)
CANNOT_START = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
RETRIED_CODE = 128
"""The operator starts a process again that ended with this or more."""


class Watcher:
    """What was seen of one TFJob so far."""

    def __init__(self, cluster: Cluster, name: str, roles: Mapping[str, int], settings: TFJobSettings) -> None:
        self._cluster, self._name, self._settings = cluster, name, settings
        self._processes = sum(roles.values())
        self._since: dict[str, float] = {}
        self._pods: dict[str, list[str]] = {}
        self._ends: dict[str, str] = {}
        self._said: set[str] = set()

    def check(self, job: Object, pods: list[Object]) -> None:
        """Looks at the job and its pods, and says what is new.

        Raises:
            UserError: it will not get anywhere; why.
        """
        for condition in job.get("status", {}).get("conditions", []):
            if condition["status"] == "True":
                self._say(f"{condition['type']} {condition.get('lastTransitionTime')}", condition.get("message", ""))
        for pod in pods:
            self._check_restarts(pod)
            self._check_scheduling(pod)
        self._check_starts(pods)
        if not condition_of(job, "Suspended"):
            self._check_missing(job, pods)

    def _check_restarts(self, pod: Object) -> None:
        """The operator's own backoffLimit does not count pods that it makes anew, so that it would do so for ever."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        ended = terminated(pod)
        if ended and ended["exitCode"] >= RETRIED_CODE:
            self._ends[name] = f"with code {ended['exitCode']} ({ended.get('reason', 'no reason')})"
        known = self._pods.setdefault(name, [])
        if uid in known:
            return
        known.append(uid)
        restarts = len(known) - 1
        how = self._ends.get(name, "without a code")
        if restarts > self._settings.most_restarts:
            raise UserError(
                f"pod {name} of TFJob {self._name} was started again {restarts} times and ended {how} the last time; "
                "give it more memory or steadier nodes, or raise train.tfjob.most_restarts"
            )
        if restarts:
            log.warning("pod %s ended %s, and is started again (%d)", name, how, restarts)

    def _check_scheduling(self, pod: Object) -> None:
        for condition in pod.get("status", {}).get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                message = f"pod {pod['metadata']['name']} waits for a node: {condition.get('message', '')}"
                self._say(message, message)

    def _check_starts(self, pods: list[Object]) -> None:
        waiting = {pod["metadata"]["name"]: why for pod in pods for why in _reasons(pod)}
        for name in {*self._since} - {*waiting, self._name}:
            del self._since[name]
        for name, why in waiting.items():
            self._say(name + why, f"pod {name} cannot start: {why}")
            if self._is_late(name):
                raise UserError(
                    f"pod {name} of TFJob {self._name} cannot start ({why}); mend that, or raise "
                    f"train.tfjob.patience_minutes ({self._settings.patience_minutes:g})"
                )

    def _check_missing(self, job: Object, pods: list[Object]) -> None:
        # Not among the pods' names: a pod's name is longer than the job's.
        if len(pods) >= self._processes:
            self._since.pop(self._name, None)
        elif self._is_late(self._name):
            warnings = self._cluster.warnings(self._name)
            found = f"{len(pods)} of {self._processes} pods of TFJob {self._name} were made"
            if warnings:
                raise UserError(f"{found} ({warnings[-1]}); mend that, or ask for less")
            if not job.get("status"):
                raise UserError(f"{found}, for no training operator took it up; see whether the operator runs")
            self._say("missing", f"{found}; waiting for the others")

    def _is_late(self, what: str) -> bool:
        """Whether something goes on for longer than our patience."""
        since = self._since.setdefault(what, time.monotonic())
        return time.monotonic() - since > self._settings.patience_minutes * 60

    def _say(self, key: str, text: str) -> None:
        """Logs once."""
        if key not in self._said:
            self._said.add(key)
            log.info("%s", text)


def condition_of(job: Object, kind: str) -> Object | None:
    """A TFJob's condition of a kind, such as Succeeded, where it holds."""
    conditions: list[Object] = job.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)


def terminated(pod: Object) -> Object | None:
    """How the training process of a pod ended; None while it has not."""
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status["name"] == CONTAINER and "terminated" in status.get("state", {}):
            ended: Object = status["state"]["terminated"]
            return ended
    return None


def _reasons(pod: Object) -> Iterator[str]:
    """Why the pod's containers cannot start."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in CANNOT_START:
            yield f"{waiting['reason']}: {waiting.get('message', 'no message')}"
