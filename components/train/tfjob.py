"""A training of several processes as a TFJob of the training operator (v1): make it, wait for it, clean up after it."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.kubernetes import api
from components.kubernetes.api import Cluster, ExistsError
from components.kubernetes.connection import NoClusterError, connect
from components.kubernetes.interruption import interruptible
from components.kubernetes.tfjob import Object
from components.train import tfjob_manifest
from components.train.tfjob_config import TFJobSettings
from components.train.tfjob_log import followed
from components.train.tfjob_watch import RETRIED_CODE, Watcher, condition_of, terminated

log = logging.getLogger(__name__)
CANCEL_S = 20.0
"""How long an API server that is away may hold up a cancelled step; its pod is killed after 30 s."""


def launch(
    arguments: Sequence[str], folders: Sequence[Path], roles: Mapping[str, int], key: str, settings: TFJobSettings
) -> None:
    """Runs the training in pods that are copies of the step's own, and waits for it, the chief's log in ours.

    A step that is tried again goes on with the TFJob that the first try left running; there is never a second one. A
    job that failed stays there for `settings.keep_minutes`, any other is deleted.

    Args:
        arguments: the training process's command line, after `python`.
        folders: what the processes read and write; on volumes that several pods can mount.
        roles: replicas by type: `Chief`, `Worker`, `PS`; without a chief the first worker is it. At least two in all:
            the operator gives a single process no TF_CONFIG.
        key: identifies the training: the same for another try of the same.
        settings: the pods, and the limits.

    Raises:
        UserError: the training failed, in the last words of the process that did, or could not be started; why.
        PreemptedError: SIGTERM came.
    """
    try:
        cluster = connect()
    except NoClusterError as error:
        raise UserError(f"train.launch is tfjob, but {error}; use local") from None
    pod = cluster.own_pod()
    tfjob_manifest.check_shared(pod, folders)
    manifest = tfjob_manifest.tfjob(pod, arguments, roles, key, artifacts.run_name(), settings)
    name: str = manifest["metadata"]["name"]
    with interruptible("told to end; the TFJob is deleted, run it again to go on from the checkpoint"):
        try:
            _begin(cluster, manifest)
            with followed(cluster, name):
                failure = _wait(cluster, name, Watcher(cluster, name, roles, settings))
        except BaseException:
            _delete(cluster, name)
            raise
        if failure is not None:
            raise UserError(failure)
        _delete(cluster, name)


def _begin(cluster: Cluster, manifest: Object) -> None:
    """Makes the job, or takes over the one that runs."""
    name = manifest["metadata"]["name"]
    while True:
        job = cluster.find(name)
        if job is None:
            with contextlib.suppress(ExistsError):
                cluster.create(manifest)
                log.info("TFJob %s in namespace %s is made", name, cluster.namespace)
                return
        elif "deletionTimestamp" in job["metadata"]:
            # It goes when its pods are gone: two trainings would write the same checkpoint.
            log.info("an earlier TFJob %s is being deleted; waiting for that", name)
            time.sleep(api.POLL_S)
        elif condition_of(job, "Failed") or condition_of(job, "Succeeded"):
            cluster.delete(name)
        else:
            (owner,) = manifest["metadata"]["ownerReferences"]
            cluster.give_to(owner, name, manifest["metadata"]["labels"])
            log.info("TFJob %s in namespace %s runs already; going on with it", name, cluster.namespace)
            return


def _wait(cluster: Cluster, name: str, watcher: Watcher) -> str | None:
    """Waits for the job's end; returns why it failed, or None."""
    pods: list[Object] = []
    while True:
        job = cluster.find(name)
        if job is None:
            raise UserError(f"TFJob {name} was deleted while its training ran; run again to go on from the checkpoint")
        if condition_of(job, "Succeeded"):
            log.info("TFJob %s is done", name)
            return None
        # Where the operator has removed the failed pods, those seen before still tell.
        pods = cluster.pods(name) or pods
        failed = condition_of(job, "Failed")
        if failed:
            return _failure(cluster, name, failed, pods)
        watcher.check(job, pods)
        cluster.wait_for_change(job)


def _failure(cluster: Cluster, name: str, condition: Object, pods: list[Object]) -> str:
    why = f"TFJob {name} failed ({condition.get('reason')}: {condition.get('message')})"
    ends = [(ended, pod["metadata"]["name"]) for pod in pods if (ended := terminated(pod)) and ended["exitCode"]]
    if not ends:
        return f"{why}; see its pods and events"
    # Those that end for want of another are retried, or end later.
    ended, pod = min(ends, key=lambda end: (end[0]["exitCode"] >= RETRIED_CODE, end[0].get("finishedAt") or ""))
    words = cluster.last_words(pod)
    return f"{why}; pod {pod} ended with code {ended['exitCode']}" + (f" and last wrote: {words}" if words else "")


def _delete(cluster: Cluster, name: str) -> None:
    try:
        cluster.delete(name, CANCEL_S)
    except UserError as error:
        log.warning("TFJob %s could not be deleted, and goes with the step's pod: %s", name, error)
