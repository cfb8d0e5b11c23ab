"""Run folders that go: records, report and log of old runs."""

from collections.abc import Iterator

from components import artifacts
from components.cleanup.deletion import Deletion, day
from components.cleanup.reading import read_objects
from components.cleanup.runs import Run
from components.cleanup.situation import Situation, is_this
from components.cleanup.survey import CHECKSUMS, Unit, models_in, versions_of
from components.cleanup.versions import lineages_of_staying


def old_runs(situation: Situation) -> Iterator[Deletion]:
    """The runs beyond the newest ones, but for those in progress and those that made a version that stays."""
    newest = {run.unit.path for run in situation.own_runs[: situation.retention.runs]}
    for run in _free(situation):
        if run.unit.path in situation.earlier:
            why = f"run of {day(run.started_s)}, to fit into {situation.retention.bytes:,} bytes"
            yield Deletion.of(run.unit, why)
        elif run.unit.path not in newest:
            why = f"run of {day(run.started_s)}, not among the newest {situation.retention.runs}"
            yield Deletion.of(run.unit, why)


def nobodys_runs(situation: Situation) -> Iterator[Deletion]:
    """Runs of which nobody knows whose they are, because they were killed before their last step; as old as outputs."""
    if situation.any_in_progress or situation.kept_versions is None:
        return
    old = [run for run in situation.runs if not run.model and run.unit.newest_s < situation.living_from_s]
    named = _runs_of_all_versions(situation) if old else None
    for run in old:
        if named is not None and run.unit.name not in named:
            yield Deletion.of(
                run.unit, f"run of {day(run.unit.newest_s)} that never ended, of a model that it did not tell"
            )


def _runs_of_all_versions(situation: Situation) -> set[str] | None:
    """The runs that made the versions of all models; None, and noted, where one cannot be told."""
    storage = situation.found.storage
    folders = [
        f"{versions_of(model)}/{name}"
        for model in models_in(storage)
        for name in storage.names(versions_of(model))
        if not name.startswith(".")
    ]
    runs = []
    for folder, lineage in zip(folders, read_objects(storage, [f"{one}/{artifacts.LINEAGE}" for one in folders])):
        if "run" not in lineage and storage.exists(f"{folder}/{CHECKSUMS}"):
            situation.note(
                f"{storage.address(folder)} does not tell which run made it; no run of an unknown model goes"
            )
            return None
        runs.append(lineage.get("run"))
    return {run for run in runs if isinstance(run, str)}


def optional_runs(situation: Situation) -> Iterator[Unit]:
    """The runs that are kept for their number alone."""
    return (run.unit for run in _free(situation))


def _free(situation: Situation) -> list[Run]:
    lineages = lineages_of_staying(situation)
    if lineages is None:
        return []
    named = {lineage["run"] for lineage in lineages}
    return [run for run in situation.own_runs if not (run.in_progress or is_this(run) or run.unit.name in named)]
