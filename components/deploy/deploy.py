"""Adds an immutable version to the model store and moves the pointer to it."""

import contextlib
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
from components.store import ModelStore, Version, file_digest

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
    base: Path
    """The version that the run could start from, or the empty folder."""
    serving: Path
    """The version that the chosen variant was compared with, or the empty folder."""


def deploy(sources: Sources, config: DeployConfig, origin: dict[str, Any], work: Path) -> str:
    """Puts the chosen variant into service.

    A repeated call with the same artifacts finds the version it made before and only moves the pointer. The pointer
    moves only while it names the version that evaluate compared with.

    Args:
        sources: artifacts of train, evaluate and validate, and the snapshot's folder.
        config: the model's name, the pointer to move, the whole configuration.
        origin: `training_digest` of the configuration and code that training depends on, which validate compares, and
            `images` of the steps; both go into the lineage.
        work: the work directory.

    Returns:
        the version's folder.

    Raises:
        UserError: another version went into service meanwhile, or this one was withdrawn before.
    """
    with artifacts.recorded("deploy", work, [sources.chosen]) as details:
        store = ModelStore(work, config.name)
        lineage = _lineage(sources, config, origin)
        version = _made_before(store, lineage) or store.add(
            lambda folder, number: _fill(folder, sources, config, {**lineage, "version": number})
        )
        before = _point(store, config.deploy.pointer, _number(sources.serving), version)
        details.update(
            version=version.number,
            pointer=config.deploy.pointer,
            previous=before and before.number,
            path=str(version.path),
            bytes=sum(path.stat().st_size for path in version.path.rglob("*") if path.is_file()),
            features_digest=lineage["features_digest"],
            **origin,
        )
    return str(version.path)


def _point(store: ModelStore, pointer: str, expected: int | None, version: Version) -> Version | None:
    return store.replace(expected, version) if pointer == "serving" else store.point("candidate", version)


def _number(folder: Path) -> int | None:
    """The number of the version in a folder; None for the empty one."""
    path = folder / artifacts.LINEAGE
    return int(artifacts.read_json(path)["version"]) if path.exists() else None


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


def _made_before(store: ModelStore, lineage: dict[str, Any]) -> Version | None:
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
    text = yaml.safe_dump(config.model_yaml, sort_keys=False, allow_unicode=True)
    artifacts.write_bytes(folder / artifacts.MODEL_YAML, text.encode())
    artifacts.write_json(folder / artifacts.LINEAGE, lineage)
