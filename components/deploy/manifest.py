"""What an InferenceService says: which version it serves, and how it is told to serve another.

All that a change needs stands in `spec`: KServe copies the labels and annotations of the InferenceService itself to its
pods, and would start them anew for a note in those.
"""

import copy
import functools

from components import artifacts
from components.deploy.config import InferenceService
from components.errors import UserError
from components.kubernetes.inference_service import GROUP, KIND, VERSION
from components.kubernetes.tfjob import Object
from components.storage.address import is_local, joined
from components.store import Version

VERSION_LABEL = "evergreen/version"
"""Label of the pods: `<number>-<first digits of the model's digest>`."""
LABELS = {"app.kubernetes.io/name": "evergreen", "app.kubernetes.io/component": "serve"}
MODEL_FORMAT = "tflite"
PROTOCOL = "v1"


def storage_uri(version: Version) -> str:
    """Where KServe finds what the server loads.

    Raises:
        UserError: the version lies on this machine, where no other sees it.
    """
    if is_local(version.location):
        raise UserError(
            f"deploy.inference_service is set, but {version.location} is no bucket, from which a cluster could serve "
            "it; give a work directory on s3://, or set deploy.inference_service to null"
        )
    return str(joined(version.location, artifacts.SERVING))


@functools.cache  # versions never change, and reading one from a bucket takes a request
def label(version: Version) -> str:
    """The label of the pods that serve a version; of another model under the same number it is another."""
    return f"{version.number}-{str(version.lineage.get('model_digest', ''))[:12]}".rstrip("-")


def created(name: str, namespace: str, spec: Object) -> Object:
    """A new InferenceService."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": dict(LABELS),
        # Set always: which mode is the default differs from cluster to cluster.
        "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": spec}


def new_spec(settings: InferenceService) -> Object:
    """The spec of a new InferenceService, which serves nothing yet."""
    model = {"modelFormat": {"name": MODEL_FORMAT}, "protocolVersion": PROTOCOL, "runtime": settings.runtime}
    return {"predictor": {"model": model}}


def serving(spec: Object, version: Version, settings: InferenceService) -> Object:
    """A spec that serves a version as the settings want it.

    Args:
        spec: the one before.
        version: the version.
        settings: what is null in them stays as it was.

    Raises:
        UserError: the spec is of an InferenceService that serves no model of ours.
    """
    spec = pointed(spec, version)
    predictor: Object = spec["predictor"]
    predictor["model"]["runtime"] = settings.runtime
    amounts = {"cpu": settings.cpu, "memory": settings.memory}
    asked = {name: amount for name, amount in amounts.items() if amount is not None}
    if asked:
        resources = predictor["model"].setdefault("resources", {})
        for part in ("requests", "limits"):
            resources[part] = {**resources.get(part, {}), **asked}
    wanted = {
        "serviceAccountName": settings.service_account,
        "minReplicas": settings.min_replicas,
        "maxReplicas": settings.max_replicas,
    }
    predictor.update({name: value for name, value in wanted.items() if value is not None})
    return spec


def pointed(spec: Object, version: Version) -> Object:
    """A spec that serves a version, and is the same in all else.

    Raises:
        UserError: the spec is of an InferenceService that serves no model of ours.
    """
    spec = copy.deepcopy(spec)
    predictor = spec.get("predictor") or {}
    if "model" not in predictor:
        raise UserError(
            "the InferenceService is not one of a model (it has no spec.predictor.model); delete it, or give another "
            "deploy.inference_service.name"
        )
    predictor["model"]["storageUri"] = storage_uri(version)
    predictor["labels"] = {**(predictor.get("labels") or {}), VERSION_LABEL: label(version)}
    return spec


def serves(found: Object, version: Version) -> bool:
    """Whether an InferenceService is told to serve a version."""
    predictor = found["spec"].get("predictor") or {}
    told = (predictor.get("model") or {}).get("storageUri"), (predictor.get("labels") or {}).get(VERSION_LABEL)
    return told == (storage_uri(version), label(version))
