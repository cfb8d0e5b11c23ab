"""Snapshots and partitions that go: data that was superseded, and that no version that stays was trained on."""

from collections.abc import Iterator

from components.cleanup.deletion import Deletion, day
from components.cleanup.situation import Situation
from components.cleanup.survey import partitions_of, snapshots_of
from components.cleanup.versions import lineages_of_staying


def superseded_data(situation: Situation) -> Iterator[Deletion]:
    """Snapshots before their partitions; none while another run of the model may use them.

    What stays: the newest snapshot, that of the newest run, those that were made or used in the current or the previous
    cache generation, those of versions that stay when `retention.audit` is on, and the partitions of all these; and
    partitions as young.
    """
    kept = None if situation.other_in_progress else _kept_snapshots(situation)
    if kept is None:
        return
    partitions = _partitions(situation, kept)
    if partitions is None:
        return
    for unit in situation.found.units(snapshots_of(situation.model)):
        if unit.name not in kept:
            yield Deletion.of(unit, f"snapshot of {day(unit.newest_s)}, superseded, of no version that is kept")
    for unit in situation.found.units(partitions_of(situation.model)):
        hidden = unit.name.startswith(".")
        if unit.name not in partitions and unit.newest_s < situation.living_from_s and not hidden:
            yield Deletion.of(unit, f"partition of {day(unit.newest_s)}, of no snapshot that is kept")


def _kept_snapshots(situation: Situation) -> set[str] | None:
    """The names of the snapshots that stay; None where that cannot be told."""
    lineages = lineages_of_staying(situation)
    if lineages is None:
        return None
    units = situation.found.units(snapshots_of(situation.model))
    kept = {unit.name for unit in units if unit.newest_s >= situation.living_from_s}
    kept |= {situation.newest_snapshot or ""} | _used_snapshots(situation)
    if situation.retention.audit:
        kept |= {str(lineage.get("snapshot")) for lineage in lineages}
    return kept


def _used_snapshots(situation: Situation) -> set[str]:
    """The snapshots that the newest run, and runs of the current and the previous cache generation worked on."""
    newest = {run.unit.path for run in situation.own_runs[:1]}  # even where clocks were set back since
    runs = situation.possible_runs
    recent = [run for run in runs if run.unit.path in newest or run.unit.newest_s >= situation.living_from_s]
    return {str(situation.details(run, "ingest").get("snapshot")) for run in recent}


def _partitions(situation: Situation, snapshots: set[str]) -> set[str] | None:
    """The partitions of snapshots; None, and noted, where one cannot be read."""
    found: set[str] = set()
    for unit in situation.found.units(snapshots_of(situation.model)):
        if unit.name in snapshots:
            partitions = situation.partitions(unit)
            if partitions is None:
                situation.note(f"{unit.path}/snapshot.json cannot be read; until it is mended no data goes")
                return None
            found |= partitions
    return found
