"""Adds an immutable version to the model store and puts it into service: by its pointer, and on a cluster."""

import contextlib
import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from components import artifacts
from components.deploy.config import DeployConfig
from components.errors import UserError
from components.features.transform import Transform
from components.storage.address import Address
from components.storage.open import open_storage
from components.store import Version, file_digest
from components.store.rollouts import Rollouts

FROM_CHOSEN = (artifacts.SERVING,)
FROM_MODEL = (
    artifacts.SAVED_MODEL,
    artifacts.WEIGHTS,
    artifacts.OPTIMIZER,
    artifacts.NETWORK,
    artifacts.TRAINING,
    artifacts.FEATURES,
    artifacts.CONSTANTS,
    artifacts.VOCABULARY,
    artifacts.EXAMPLES,
)


@dataclass(frozen=True)
class Sources:
    """The artifacts that a version is made of, and what it was made from."""

    chosen: Path
    model: Path
    statistics: Path
    snapshot: Path
    recorded: Path
    """The requests that rehearse recorded, with their answers."""
    base: Address
    """The version that the run could start from, or the empty folder."""
    serving: Address
    """The version that the chosen variant was compared with, or the empty folder."""


def deploy(sources: Sources, config: DeployConfig, origin: dict[str, Any], work: Address) -> str:
    """Puts the chosen variant into service.

    A repeated call with the same artifacts finds the version it made before and only puts it into service. The pointer
    moves only while it names the version that evaluate compared with, and on a cluster only when the version serves.

    Args:
        sources: artifacts of train, evaluate, rehearse and validate, and the snapshot's folder.
        config: the model's name, the pointer to move, the InferenceService, the whole configuration.
        origin: `training_digest` of the configuration and code that training depends on, which validate compares, and
            `images` of the steps; both go into the lineage.
        work: the work directory.

    Returns:
        the version's address.

    Raises:
        UserError: another version went into service meanwhile, or this one was withdrawn before, or does not serve on
            the cluster, which is put back then.
        PreemptedError: SIGTERM came while the cluster was waited for.
    """
    with artifacts.recorded("deploy", work, [sources.chosen]) as details:
        store = Rollouts(work, config.name)
        lineage = _lineage(sources, config, origin)
        version = _made_before(store, lineage) or store.add(
            lambda folder, number: _fill(folder, sources, config, {**lineage, "version": number})
        )
        before = _put_into_service(store, config, _number(sources.serving), version, details)
        details.update(
            version=version.number,
            pointer=config.deploy.pointer,
            previous=before and before.number,
            path=str(version.location),
            bytes=sum(entry.bytes for entry in open_storage(version.location).entries()),
            features_digest=lineage["features_digest"],
            **origin,
        )
    return str(version.location)


def _put_into_service(
    store: Rollouts, config: DeployConfig, expected: int | None, version: Version, details: dict[str, Any]
) -> Version | None:
    """Puts a version where the configuration wants it; gives the version that was there before."""
    if config.deploy.pointer == "candidate":
        return store.point("candidate", version)
    if config.deploy.inference_service is None:
        return store.replace(expected, version)
    from components.deploy.rollout import Rollout  # Kubernetes' client takes a second to import

    rollout = Rollout(store, version, config.deploy.inference_service, artifacts.run_name())
    details.update(version=version.number, inference_service=rollout.describe())
    return rollout.run(expected)


def _number(address: Address) -> int | None:
    """The number of the version at an address; None for the empty folder."""
    storage = open_storage(address)
    if not storage.exists(artifacts.LINEAGE):
        return None
    return int(json.loads(storage.read(artifacts.LINEAGE))["version"])


def _lineage(sources: Sources, config: DeployConfig, origin: dict[str, Any]) -> dict[str, Any]:
    examples = artifacts.Examples.read(sources.model)
    return {
        "name": config.name,
        "parent": examples.base_version,
        "base": _number(sources.base),
        "replaces": _number(sources.serving),
        "snapshot": sources.snapshot.name,
        "partitions": list(examples.partitions),
        "trained_until": examples.trained_until,
        **origin,
        "features_digest": Transform.read(sources.model).features_digest(),
        "recipe": artifacts.read_json(sources.chosen / artifacts.VARIANT)["recipe"],
        "model_digest": file_digest(sources.chosen / artifacts.SERVING / artifacts.LITERT_MODEL),
        "run": artifacts.run_name(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _made_before(store: Rollouts, lineage: dict[str, Any]) -> Version | None:
    same = ("snapshot", "training_digest", "recipe", "model_digest")
    for version in reversed(store.versions()):
        with contextlib.suppress(UserError):  # a version whose lineage is damaged was not made by this run
            if all(version.lineage.get(key) == lineage[key] for key in same):
                return version
    return None


def _fill(folder: Path, sources: Sources, config: DeployConfig, lineage: dict[str, Any]) -> None:
    for source, names in ((sources.chosen, FROM_CHOSEN), (sources.model, FROM_MODEL)):
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(source / name, folder / name)
            else:
                shutil.copy2(source / name, folder / name)
    shutil.copy2(sources.statistics / artifacts.STATISTICS, folder / artifacts.STATISTICS)
    shutil.copy2(sources.chosen / artifacts.EVALUATION, folder / artifacts.METRICS)
    shutil.copy2(sources.recorded / artifacts.RECORDED_REQUESTS, folder / artifacts.RECORDED_REQUESTS)
    text = yaml.safe_dump(config.model_yaml, sort_keys=False, allow_unicode=True)
    # KServe mounts `serving/` alone, where the server then finds its settings, the version's number and its age.
    for place in (folder, folder / artifacts.SERVING):
        artifacts.write_bytes(place / artifacts.MODEL_YAML, text.encode())
        artifacts.write_json(place / artifacts.LINEAGE, lineage)
