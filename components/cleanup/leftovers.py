"""Leftovers that go: what killed processes left half written (`.*.tmp`), and killed cleanups half deleted."""

from collections.abc import Iterator

from components.cleanup.deletion import Deletion, day
from components.cleanup.generation import DAY_S
from components.cleanup.situation import Situation
from components.cleanup.survey import CACHE, CLEANUP, OF_MODEL, holds_of
from components.storage.storage import TOMBSTONE, Upload


def leftovers(situation: Situation) -> Iterator[Deletion]:
    """Temporaries go after a day, and while no run that may be writing them is in progress; tombstones at once."""
    for path, unit in sorted(situation.found.temporaries.items()):
        if unit.name.startswith(TOMBSTONE):
            yield Deletion.of(unit, "left by a cleanup that was interrupted")
        elif situation.now_s - unit.newest_s > DAY_S and _is_ours(situation, path):
            yield Deletion.of(unit, f"half written on {day(unit.newest_s)} by a process that was killed")

    for unit in situation.found.units(holds_of(situation.model)):
        if situation.now_s - unit.newest_s > DAY_S:
            yield Deletion.of(
                unit, f"left on {day(unit.newest_s)} by a process that was killed while it moved a pointer"
            )


def _is_ours(situation: Situation, path: str) -> bool:
    """Whether a temporary is the model's, or nobody's, and no run in progress can be writing it."""
    kind, *inner = path.split("/")
    if kind in ("runs", *OF_MODEL) and len(inner) > 1:
        owner = inner[0] if kind in OF_MODEL else situation.owner_of(inner[0])
        return owner == situation.model and not situation.other_in_progress
    is_shared = len(inner) < 2 or path.startswith((f"{CACHE}/", f"{CLEANUP}/"))
    return is_shared and not situation.any_in_progress


def unfinished_uploads(situation: Situation) -> list[Upload]:
    """Uploads to an object store that were begun and not finished for a day: their parts are invisible, but charged."""
    storage = situation.found.storage
    prefixes = [f"{kind}/{situation.model}" for kind in OF_MODEL]
    try:
        found = [upload for prefix in prefixes for upload in storage.uploads(prefix)]
    except OSError as error:  # not every server has such a list, and not everybody may see it
        situation.note(f"uploads that were never finished cannot be listed ({error}); none of them goes")
        return []
    return [upload for upload in found if situation.now_s - upload.started_s > DAY_S]
