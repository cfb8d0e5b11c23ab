"""Finds what a run starts from: the version in service, the base, and the cache generation."""

import logging
import time
from pathlib import Path
from typing import NamedTuple

from components import artifacts
from components.cleanup.generation import generation
from components.resolve.config import ResolveConfig
from components.storage.address import Address, is_local, joined, name_of
from components.storage.fetched import imports_paths
from components.store import ModelStore, Version, on_disk, verify
from components.store.copies import EMPTY, checksums_digest

log = logging.getLogger(__name__)


class Resolved(NamedTuple):
    """What a run starts from: addresses of versions; that of the permanent empty folder stands for "no model yet"."""

    base: str
    """The version to start training from; in a run on this machine a copy, where it lies in a bucket."""
    serving: str
    """The version in service."""
    base_digest: str
    """Digest of the base's content: its path is no proof of it, because a store can be deleted and filled anew."""
    generation: str
    """Part of every cached task's inputs: results of an older generation are never found again."""


def resolve(config: ResolveConfig, work: Address, snapshot: Address) -> Resolved:
    """Reads the model store.

    Args:
        config: the model's name, where to start, how long results may be reused.
        work: the work directory.
        snapshot: the snapshot's folder; only its name matters.

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
        digest = checksums_digest(base) if base else ""
        return Resolved(_handed_on(_address(base, work)), str(_address(serving, work)), digest, str(current))


def _base(store: ModelStore, serving: Version | None, snapshot: Address) -> Version | None:
    """The version in service, which is known to be good.

    Where that was made from this very snapshot, it is the base that it had itself: otherwise a repeated run would start
    from its own result and miss its cache. Where that base is gone, missing the cache is better than a cold start.
    """
    if serving is None or serving.lineage["snapshot"] != name_of(snapshot):
        return serving
    number = serving.lineage["base"]
    return None if number is None else store.find(number) or serving


def _address(version: Version | None, work: Address) -> Address:
    if version is not None:
        return version.location
    empty = joined(work, EMPTY)
    if is_local(empty):  # in a bucket there are no empty folders
        Path(empty).mkdir(parents=True, exist_ok=True)
    return empty


def _handed_on(address: Address) -> str:
    """As KFP's importer can read it."""
    return str(on_disk(address) if imports_paths() else address)
