"""The log of a TFJob's chief, line by line in our own log while it is written."""

import contextlib
import logging
import threading
from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.errors import UserError
from components.kubernetes.api import Cluster
from components.kubernetes.tfjob import CONTAINER, Object

log = logging.getLogger(__name__)
PAUSE_S = 1.0
DRAIN_S = 10.0
"""How long the last lines may take to come once the job has ended."""


@contextlib.contextmanager
def followed(cluster: Cluster, job: str) -> Iterator[None]:
    """Follows the chief's log while the block runs, and to its end where the chief has ended by then."""
    follower = _Follower(cluster, job)
    thread = threading.Thread(target=follower.run, name="chief's log", daemon=True)
    thread.start()
    try:
        yield
        follower.ended.set()
        thread.join(DRAIN_S)
    finally:
        follower.ended.set()
        follower.left.set()


class _Follower:
    """Reads the log of one pod after the other: a chief that is started again is a new pod of the same name."""

    def __init__(self, cluster: Cluster, job: str) -> None:
        self._cluster, self._job = cluster, job
        self._pod = ""
        self._time = ""
        self._lines_of_time = 0
        self._is_whole = False
        self.ended = threading.Event()
        """Set when the job has ended: what there is by then is read, and no more."""
        self.left = threading.Event()
        """Set when nobody wants more lines."""

    def run(self) -> None:
        """Follows until the job has ended."""
        while True:
            is_last = self.ended.is_set()
            # Whatever fails here is tried again; the training does not depend on its log.
            try:
                self._follow_chief()
            except ApiException as error:
                if error.status == 403:
                    log.warning("the step may not read pods/log; the chief's log is with its pod only")
                    return
            except (HTTPError, UserError) as error:
                log.debug("the chief's log broke off: %s", error)
            if is_last or self.left.is_set():
                return
            self.ended.wait(PAUSE_S)

    def _follow_chief(self) -> None:
        for pod in self._cluster.pods(self._job, job_role="master"):
            state = _state(pod)
            if pod["metadata"]["uid"] != self._pod:
                self._pod, self._time, self._lines_of_time, self._is_whole = pod["metadata"]["uid"], "", 0, False
            if self._is_whole or not state & {"running", "terminated"}:
                continue
            self._read(pod["metadata"]["name"])
            # A log that was asked for after its container's end came whole.
            self._is_whole = "terminated" in state

    def _read(self, pod: str) -> None:
        """Passes on the lines that were not yet: a log read again begins anew, and several lines may have one time.

        The kubelet writes times with nine digits of a second, so that they order as text.
        """
        before, lines_before = self._time, self._lines_of_time
        for stamped in self._cluster.follow_log(pod):
            if self.left.is_set():
                return
            time, _, line = stamped.partition(" ")
            if time < before:
                continue
            if time == before and lines_before:
                lines_before -= 1
                continue
            self._lines_of_time = self._lines_of_time + 1 if time == self._time else 1
            self._time = time
            log.info("%s", line)


def _state(pod: Object) -> set[str]:
    """`waiting`, `running` or `terminated`; empty before the pod has a node."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return {name for status in statuses if status["name"] == CONTAINER for name in status.get("state", {})}
