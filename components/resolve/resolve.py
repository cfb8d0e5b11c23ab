"""Finds what a run starts from: the version in service, the base, and the cache generation."""

import logging
import time
from pathlib import Path
from typing import NamedTuple

from components import artifacts
from components.cleanup.generation import generation
from components.resolve.config import ResolveConfig
from components.store import CHECKSUMS, ModelStore, Version, file_digest, verify

log = logging.getLogger(__name__)
EMPTY = "empty"


class Resolved(NamedTuple):
    """What a run starts from. The folders always exist; the permanent empty one stands for "no model yet"."""

    base: str
    """The version to start training from."""
    serving: str
    """The version in service."""
    base_digest: str
    """Digest of the base's content: its path is no proof of it, because a store can be deleted and filled anew."""
    generation: str
    """Part of every cached task's inputs: results of an older generation are never found again."""


def resolve(config: ResolveConfig, work: Path, snapshot: Path) -> Resolved:
    """Reads the model store.

    Args:
        config: the model's name, where to start, how long results may be reused.
        work: the work directory.
        snapshot: the snapshot's folder.

    Raises:
        UserError: the version to start from is damaged, or a pointer's file is.
    """
    with artifacts.recorded("resolve", work) as details:
        store = ModelStore(work, config.name)
        serving = store.pointed("serving")
        is_cold = config.resolve.start == "cold"
        base = None if is_cold else _base(store, serving, snapshot)
        if base is not None:
            verify(base)  # training loads its weights without looking
        if is_cold and serving is not None:
            log.warning("cold start, although version %d is in service: resolve.start is cold", serving.number)
        current = generation(time.time(), config.retention.days)
        details.update(
            serving=serving and serving.number,
            base=base and base.number,
            generation=current,
            days=config.retention.days,
            trained_until=base and base.lineage["trained_until"],
        )
        digest = file_digest(base.path / CHECKSUMS) if base else ""
        return Resolved(_folder(base, work), _folder(serving, work), digest, str(current))


def _base(store: ModelStore, serving: Version | None, snapshot: Path) -> Version | None:
    """The version in service, which is known to be good.

    Where that was made from this very snapshot, it is the base that it had itself: otherwise a repeated run would start
    from its own result and miss its cache. Where that base is gone, missing the cache is better than a cold start.
    """
    if serving is None or serving.lineage["snapshot"] != snapshot.name:
        return serving
    number = serving.lineage["base"]
    return None if number is None else store.find(number) or serving


def _folder(version: Version | None, work: Path) -> str:
    if version is not None:
        return str(version.path)
    empty = work / EMPTY
    empty.mkdir(parents=True, exist_ok=True)
    return str(empty)
