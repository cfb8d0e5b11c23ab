"""Versions of the model store that go: the old ones that nobody names, and those that were never finished.

The store deletes a version in an order that needs no lock: see `ModelStore.remove`.
"""

from collections.abc import Iterator
from typing import Any

from components.cleanup.deletion import Deletion, day
from components.cleanup.generation import DAY_S
from components.cleanup.situation import Situation
from components.cleanup.survey import CHECKSUMS, Unit, version_number, versions_of
from components.errors import UserError


def old_versions(situation: Situation) -> Iterator[Deletion]:
    """The versions that are kept neither by name nor by number; none while another run of the model may use them."""
    going = _beyond_number(situation)
    for number in going:
        unit = situation.versions[number]
        if unit.path in situation.earlier:
            yield Deletion.of(unit, f"version that nobody names, to fit into {situation.retention.bytes:,} bytes")
        else:
            yield Deletion.of(unit, f"version that nobody names, not among the newest {situation.retention.versions}")


def optional_versions(situation: Situation) -> Iterator[Unit]:
    """The versions that are kept for their number alone."""
    kept = situation.kept_versions
    if kept is not None and not situation.other_in_progress:
        yield from (unit for number, unit in situation.versions.items() if number not in kept)


def staying_versions(situation: Situation) -> set[int]:
    """The numbers of the versions that stay."""
    return set(situation.versions) - set(_beyond_number(situation))


def lineages_of_staying(situation: Situation) -> list[dict[str, Any]] | None:
    """Where the versions that stay come from; None, and noted, where that cannot be told."""
    if situation.kept_versions is None:
        return None
    try:
        return situation.lineages(staying_versions(situation))
    except UserError as error:
        situation.note(f"{error}; until that is mended no run or data of {situation.model} goes")
        return None


def _beyond_number(situation: Situation) -> list[int]:
    kept = situation.kept_versions
    if kept is None or situation.other_in_progress:
        return []
    newest = set(list(situation.versions)[-situation.retention.versions :])
    return [
        number
        for number, unit in situation.versions.items()
        if number not in kept and (number not in newest or unit.path in situation.earlier)
    ]


def unfinished_versions(situation: Situation) -> Iterator[Deletion]:
    """Versions that were begun on an object store and never finished, and half deleted ones: both have no checksums.

    What lies below a number may be what a run is uploading, even where an old mark says that it is being deleted.
    """
    if situation.kept_versions is None:
        return
    units = {unit.path: unit for unit in situation.found.units(versions_of(situation.model))}
    doomed = set(situation.store.doomed())
    for path in {f"{versions_of(situation.model)}/{number}" for number in doomed} - set(units):
        units[path] = Unit(path)  # it is gone, but for the mark
    for unit in units.values():
        number = version_number(unit.name)
        if CHECKSUMS in unit.marks or number is None:
            continue
        if situation.now_s - unit.newest_s > DAY_S and not situation.other_in_progress:
            half = "half deleted by a cleanup that was interrupted"
            yield Deletion.of(
                unit, f"version {half if number in doomed else f'of {day(unit.newest_s)} that is not whole'}"
            )


def remove_version(situation: Situation, path: str) -> bool:
    """Deletes a version unless somebody names it meanwhile; one that was not whole, unless it was written to.

    Returns:
        whether it is gone.

    Raises:
        OSError: the storage refuses.
        UserError: pointers or pins are damaged; the version stays.
    """
    number = int(path.rpartition("/")[2])

    def wanted() -> set[int]:
        named = situation.wanted(situation.store.named())
        is_going = number in situation.versions or not _is_written_to(situation, path)
        return named if is_going else named | {number}

    return situation.store.remove(number, wanted)


def _is_written_to(situation: Situation, path: str) -> bool:
    newest_s = max(
        (unit.newest_s for unit in situation.found.units(versions_of(situation.model)) if unit.path == path),
        default=0.0,
    )
    storage = situation.found.storage
    return storage.exists(f"{path}/{CHECKSUMS}") or any(entry.modified_s > newest_s for entry in storage.entries(path))


def is_version(situation: Situation, path: str) -> bool:
    """Whether a path is a version's, whole or not."""
    folder, _, name = path.rpartition("/")
    return folder == versions_of(situation.model) and version_number(name) is not None
