"""Whether the pods of an InferenceService serve a version, and what keeps them from it."""

from collections.abc import Sequence

from components.deploy.manifest import VERSION_LABEL, label
from components.kubernetes.tfjob import Object
from components.store import Version


def unready(found: Object, pods: Sequence[Object], version: Version) -> str | None:
    """Why an InferenceService does not serve a version everywhere yet; None where it does.

    Its own conditions do not tell: in Standard mode they are those of a Deployment, which is ready and available while
    its old pods answer, and its `observedGeneration` is that Deployment's (KServe 0.21, PropagateRawStatus).
    """
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and not _has_ended(pod)]
    ours = [pod for pod in staying if pod["metadata"].get("labels", {}).get(VERSION_LABEL) == label(version)]
    if not any(_is_ready(pod) for pod in ours):
        return _why(found, ours) or f"no pod of version {version.number} is ready"
    if len(staying) > len(ours):
        return _why(found, ours) or f"{len(staying) - len(ours)} of {len(staying)} pods are of another version"
    if address(found) is None:
        return _why(found, ours) or "it has no address yet"
    return None


def address(found: Object) -> str | None:
    """Where an InferenceService answers inside of the cluster; None while it does not."""
    url = ((found.get("status") or {}).get("address") or {}).get("url")
    return str(url) if url else None


def _has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _why(found: Object, pods: Sequence[Object]) -> str | None:
    """What Kubernetes or KServe says is wrong: the pods first, which know best."""
    for pod in pods:
        for said in _complaints(pod.get("status") or {}):
            return f"pod {pod['metadata']['name']}: {said}"
    status = found.get("status") or {}
    if info := (status.get("modelStatus") or {}).get("lastFailureInfo"):
        return f"{info.get('reason', 'failed')}: {info.get('message', 'no message')}"
    wrong = [one for one in status.get("conditions") or [] if one["status"] == "False" and one.get("message")]
    return f"{wrong[0]['type']}: {wrong[0]['message']}" if wrong else None


def _complaints(status: Object) -> Sequence[str]:
    said = [
        f"{state.get('reason', 'ended')}: {' '.join(str(state.get('message', 'no message')).split())}"
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        for state in _states(container)
    ]
    conditions = status.get("conditions") or []
    waits = [one for one in conditions if one["type"] == "PodScheduled" and one["status"] == "False"]
    return said + [f"it waits for a node: {one.get('message', 'no message')}" for one in waits]


def _states(container: Object) -> Sequence[Object]:
    """How a container that does not run ended, and why it is not started: that it is being made is no news."""
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    waiting = state.get("waiting") or {}
    found = []
    if ended.get("exitCode"):
        found.append({**ended, "reason": f"{ended.get('reason', 'Error')} ({ended['exitCode']})"})
    if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        found.append(waiting)
    return found
