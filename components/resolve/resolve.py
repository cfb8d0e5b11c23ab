"""Finds what a run starts from: the version in service, the base, and the cache generation."""

import time
from pathlib import Path
from typing import NamedTuple

from components import artifacts
from components.cleanup.cleanup import generation
from components.resolve.config import ResolveConfig
from components.store import ModelStore, Version

EMPTY = "empty"


class Resolved(NamedTuple):
    """Folders that always exist; the permanent empty one stands for "no model yet"."""

    base: str
    """The version to start training from."""
    serving: str
    """The version in service."""
    generation: str
    """Part of every cached task's inputs: results of an older generation are never found again."""


def resolve(config: ResolveConfig, work: Path, snapshot: Path) -> Resolved:
    """Reads the model store.

    The base is the newest good version that was *not* made from this very snapshot: otherwise a repeated run would
    start from its own result and miss its cache.

    Args:
        config: the model's name, where to start, how long results may be reused.
        work: the work directory.
        snapshot: the snapshot's folder.
    """
    with artifacts.recorded("resolve", work) as details:
        store = ModelStore(work, config.name)
        serving = store.pointed("serving")
        base = None if config.resolve.start == "cold" else _base(store, serving, snapshot)
        current = generation(time.time(), config.retention.days)
        details.update(
            serving=serving and serving.number,
            base=base and base.number,
            generation=current,
            trained_until=base and base.lineage["trained_until"],
        )
        return Resolved(_folder(base, work), _folder(serving, work), str(current))


def _base(store: ModelStore, serving: Version | None, snapshot: Path) -> Version | None:
    """The newest version made from other data; versions newer than the one in service are not known to be good."""
    if serving is None:
        return None
    candidates = (version for version in reversed(store.versions()) if version.number <= serving.number)
    return next((version for version in candidates if version.lineage["snapshot"] != snapshot.name), None)


def _folder(version: Version | None, work: Path) -> str:
    if version is not None:
        return str(version.path)
    empty = work / EMPTY
    empty.mkdir(parents=True, exist_ok=True)
    return str(empty)
