"""Model stores to measure on: the version in service under the settings that a measurement needs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.serving.bodies import MODEL
from components import artifacts
from components.store import CHECKSUMS, ModelStore, Version

Settings = dict[str, Any]
Change = Callable[[Path], None]


def served_version(work: Path) -> Path:
    """The folder of the version that a work directory has in service.

    Raises:
        FileNotFoundError: it has none.
    """
    version = ModelStore(work, MODEL).pointed("serving")
    if version is None:
        raise FileNotFoundError(f"{work} has no version of {MODEL} in service; run the pipeline there first")
    return version.path


def add(work: Path, version: Path, settings: Settings, change: Change = lambda _folder: None) -> Version:
    """Adds a copy of a version to the store of a work directory.

    Args:
        work: has the store, which is made where there is none.
        version: the folder to copy.
        settings: of the section `serve` of its model.yaml.
        change: changes the copy.
    """

    def fill(folder: Path, _number: int) -> None:
        shutil.copytree(version, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CHECKSUMS))
        described = yaml.safe_load((folder / artifacts.MODEL_YAML).read_text(encoding="utf-8"))
        described["serve"] = {**described.get("serve", {}), **settings}
        (folder / artifacts.MODEL_YAML).write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
        change(folder)

    return ModelStore(work, MODEL).add(fill)


def shift_means(folder: Path) -> None:
    """Moves the means of a version's numbers, so that its answers are others."""
    path = folder / artifacts.SERVING / artifacts.CONSTANTS
    constants = artifacts.read_json(path)
    for learned in constants.values():
        if learned["learned"] == "moments":
            learned["mean"] += 0.5 * learned["std"]
    artifacts.write_json(path, constants)
