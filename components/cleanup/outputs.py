"""Outputs of steps that go: TFRecords, models, variants, chosen or not, that no run can find again.

They lie in `pipeline/evergreen-<model>-<time>/`, and KFP's cache knows them by `pipeline/.kfp_cache/<key>.json`. Every
cached task has the cache generation of its run among its inputs, so nothing from before the previous generation is ever
found again.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from components.cleanup.deletion import Deletion, day
from components.cleanup.reading import read_objects
from components.cleanup.situation import Situation
from components.cleanup.survey import CACHE, Unit

KFP_TIME = "%Y-%m-%d-%H-%M-%S-%f"
"""KFP's local runner names a run's folder `<pipeline>-<local time>`."""


def dead_outputs(situation: Situation) -> Iterator[Deletion]:
    """What the cache knows before what it knows of; none while another run of the model is in progress."""
    if situation.other_in_progress:
        return
    yield from _cache_entries(situation)
    for unit in outputs_of(situation):
        newest_s = max(unit.newest_s, _named_s(unit.name, situation.model) or 0.0)
        if newest_s < situation.living_from_s:
            why = f"outputs last written on {day(newest_s)}, which the cache never returns again"
            yield Deletion.of(unit, why)


def outputs_of(situation: Situation) -> list[Unit]:
    """The folders of the outputs of the model's runs."""
    units = situation.found.units("pipeline")
    return [unit for unit in units if _named_s(unit.name, situation.model) is not None]


def _named_s(name: str, model: str) -> float | None:
    """When KFP made a folder, in seconds since 1970; None where it is not one of this model."""
    match = re.fullmatch(rf"evergreen-{model}-(\d{{4}}(?:-\d\d){{5}}-\d{{6}})", name)
    try:
        return datetime.strptime(match[1], KFP_TIME).timestamp() if match else None
    except ValueError:
        return None


def _cache_entries(situation: Situation) -> Iterator[Deletion]:
    units = [unit for unit in situation.found.units(CACHE) if unit.newest_s < situation.living_from_s]
    for unit, entry in zip(units, read_objects(situation.found.storage, [unit.path for unit in units])):
        if any(_named_s(folder, situation.model) is not None for folder in _folders(entry)):
            yield Deletion.of(unit, f"what the cache knew of outputs of {day(unit.newest_s)}, never returned again")


def _folders(value: object) -> Iterator[str]:
    """The folders below `pipeline/` that the outputs of a cached task lie in."""
    if isinstance(value, dict):
        uri = value.get("uri")
        parts = uri.split("/") if isinstance(uri, str) else []
        yield from (folder for parent, folder in pairwise(parts) if parent == "pipeline")
        for item in value.values():
            yield from _folders(item)
    elif isinstance(value, list):
        for item in value:
            yield from _folders(item)
