"""What a TFJob consists of: copies of the step's own pod that run the training process instead."""

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from components.errors import UserError
from components.kubernetes.tfjob import CONTAINER, GROUP, KIND, OURS, RUN, VERSION, Object
from components.storage.fetched import SCRATCH_VARIABLE
from components.train.tfjob_config import TFJobSettings

GPU = "nvidia.com/gpu"
TF_CONFIG = "TF_CONFIG"
GRACE_S = 60
"""From SIGTERM to SIGKILL: time to save a checkpoint."""
KFP_CONTAINER = "main"
KFP_VARIABLES = re.compile(r"^(KFP_|ARGO_|METADATA_|ML_PIPELINE_|NAMESPACE$|GODEBUG$)")
NOT_OURS = re.compile(r"^(app\.kubernetes\.io/(name|component)$|pipelines\.kubeflow\.org/|workflows\.argoproj\.io/)")
"""Labels by which KFP and Argo know the step's pod; the others say what the cost belongs to."""
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
POD_FIELDS = (
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
CONTAINER_FIELDS = ("envFrom", "image", "imagePullPolicy", "securityContext", "workingDir")
PRIVATE_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}


def job_name(key: str) -> str:
    """The name of a training's job: the same for the same key; fits into the names of its pods and services."""
    return f"evergreen-train-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def tfjob(
    pod: Object, arguments: Sequence[str], roles: Mapping[str, int], key: str, run: str, settings: TFJobSettings
) -> Object:
    """The manifest of a training's TFJob (kubeflow.org/v1).

    Args:
        pod: the step's own pod, as the API server describes it.
        arguments: the training process's command line, after `python`.
        roles: how many replicas of each type: `Chief`, `Worker`, `PS`.
        key: identifies the training.
        run: the run that the step belongs to.
        settings: what differs from the step's pod, and the limits.
    """
    labels = {**OURS, RUN: _label(run)}
    replicas = {
        role: {
            "replicas": count,
            # Codes of 128 and more are retried: our processes end with 143 when preempted, with 1 on an error.
            "restartPolicy": "ExitCode",
            "template": _template(pod, arguments, role, labels, settings),
        }
        for role, count in roles.items()
    }
    metadata = {"name": job_name(key), "labels": labels, "annotations": {"evergreen/training": key}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {**metadata, "ownerReferences": [owner(pod)]},
        "spec": {"runPolicy": _run_policy(settings), "tfReplicaSpecs": replicas},
    }


def owner(pod: Object) -> Object:
    """A reference by which Kubernetes deletes what the pod owns together with the pod."""
    return {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}


def check_shared(pod: Object, folders: Iterable[Path]) -> None:
    """Checks that other pods with the same volumes see the folders.

    Raises:
        UserError: a folder lies on a volume, or on a disk, that the step's pod has for itself.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    mounts = _container(pod).get("volumeMounts", [])
    for folder in folders:
        around = [mount for mount in mounts if PurePath(folder).is_relative_to(mount["mountPath"])]
        nearest = max(around, key=lambda mount: len(mount["mountPath"]), default=None)
        if nearest is None or PRIVATE_VOLUMES & set(volumes[nearest["name"]]):
            raise UserError(
                f"{folder} lies on a disk that only the step's own pod sees, but the pods of a TFJob must see it; "
                "use a work directory on a volume that several pods can mount (ReadWriteMany) or, where that is a "
                f"bucket, set {SCRATCH_VARIABLE} to a folder there"
            )


def _run_policy(settings: TFJobSettings) -> Object:
    policy: Object = {
        "backoffLimit": settings.most_restarts,
        "cleanPodPolicy": settings.clean_pods.capitalize(),
        "ttlSecondsAfterFinished": round(settings.keep_minutes * 60),
    }
    if settings.max_hours is not None:
        policy["activeDeadlineSeconds"] = max(1, round(settings.max_hours * 3600))
    return policy


def _template(
    pod: Object, arguments: Sequence[str], role: str, labels: Mapping[str, str], settings: TFJobSettings
) -> Object:
    container = _container(pod)
    mounts = [mount for mount in container.get("volumeMounts", []) if mount["mountPath"] != TOKEN]
    mounted = {mount["name"] for mount in mounts}
    volumes = [volume for volume in pod["spec"].get("volumes", []) if volume["name"] in mounted]
    process = {
        **{name: container[name] for name in CONTAINER_FIELDS if name in container},
        "name": CONTAINER,
        # The image is the step's, so that its Python is where this one is.
        "command": [sys.executable, *arguments],
        "env": _environment(container, pod["metadata"]),
        "resources": _resources(container.get("resources", {}), role, settings),
        "volumeMounts": mounts,
    }
    spec = {name: pod["spec"][name] for name in POD_FIELDS if name in pod["spec"]}
    spec |= {"containers": [process], "volumes": volumes, "terminationGracePeriodSeconds": GRACE_S}
    if settings.node_selector is not None:
        spec["nodeSelector"] = settings.node_selector
    if settings.tolerations is not None:
        spec["tolerations"] = [one.model_dump(exclude_none=True) for one in settings.tolerations]
    # A mesh's sidecar would stand between the processes, and go on when they have ended.
    annotations = {"sidecar.istio.io/inject": "false"}
    kept = {key: value for key, value in pod["metadata"].get("labels", {}).items() if not NOT_OURS.match(key)}
    return {"metadata": {"labels": {**kept, **labels}, "annotations": annotations}, "spec": spec}


def _container(pod: Object) -> Object:
    containers: list[Object] = pod["spec"]["containers"]
    return next((one for one in containers if one["name"] == KFP_CONTAINER), containers[0])


def _environment(container: Object, metadata: Object) -> list[Object]:
    return [
        _resolved(variable, metadata)
        for variable in container.get("env", [])
        if variable["name"] != TF_CONFIG and not KFP_VARIABLES.match(variable["name"])
    ]


def _resolved(variable: Object, metadata: Object) -> Object:
    """The variable; where it is a label or annotation of the step's pod, which its copies lack, with its value."""
    field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
    found = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", field)
    if found is None:
        return variable
    return {"name": variable["name"], "value": metadata.get(found[1], {}).get(found[2], "")}


def _resources(own: Object, role: str, settings: TFJobSettings) -> Object:
    resources = {part: dict(own.get(part, {})) for part in ("requests", "limits")}
    for part in resources.values():
        if settings.cpu is not None:
            part["cpu"] = settings.cpu
        if settings.memory is not None:
            part["memory"] = settings.memory
        if settings.gpus is not None:
            part[GPU] = str(settings.gpus)
        # Devices have names with a domain; a coordinator or parameter server would leave them idle.
        idle = {name for name in part if "/" in name and (role != "Worker" or part[name] == "0")}
        for name in idle:
            del part[name]
    return {part: amounts for part, amounts in resources.items() if amounts}


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:63].strip("._-")
