"""What cleanup knows when it decides about one model: files, runs, versions, and who names them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from components import artifacts
from components.cleanup.config import Retention
from components.cleanup.deletion import Deletion
from components.cleanup.generation import DAY_S, living_from_s
from components.cleanup.reading import read_object, read_objects
from components.cleanup.runs import Run, as_number
from components.cleanup.survey import CHECKSUMS, SHARED, Survey, Unit, snapshots_of, version_number, versions_of
from components.errors import UserError
from components.store import ModelStore

MOST_DAYS = 3650
"""Of `retention.days`; a record that tells more is damaged."""


@dataclass
class Situation:
    """What is known of a model. What cannot be read stops what depends on it: `unknown` says what and why."""

    found: Survey
    store: ModelStore
    model: str
    retention: Retention
    now_s: float
    """Seconds since 1970."""
    runs: Sequence[Run]
    """Of all models, newest first."""
    known: frozenset[int] = frozenset()
    """Versions that the store knew before it was surveyed: all of them must have been found."""
    spared: frozenset[int] = frozenset()
    """Versions that turned out to be named when they were about to be deleted."""
    earlier: set[str] = field(default_factory=set)
    """Paths that would still be kept for their number or age, but go for the sake of `retention.bytes`."""
    unknown: list[str] = field(default_factory=list)
    steady: list[Deletion] | None = None
    """What may go whatever is in `earlier`; None until somebody looked."""

    def __post_init__(self) -> None:
        for path, why in self.found.unlisted.items():
            kind, _, name = path.partition("/")
            if kind in SHARED or name.partition("/")[0] == self.model:
                self.note(f"{why}; until that is mended nothing goes of it, nor what it may need")

    @cached_property
    def own_runs(self) -> list[Run]:
        """The model's runs, newest first."""
        return [run for run in self.runs if run.model == self.model]

    @cached_property
    def possible_runs(self) -> list[Run]:
        """The model's runs, and those of which nobody knows whose they are."""
        return [run for run in self.runs if run.model in ("", self.model)]

    @cached_property
    def other_in_progress(self) -> bool:
        """Whether a run is in progress that is or may be the model's, beside the one that this process belongs to."""
        return any(run.in_progress and not is_this(run) for run in self.possible_runs)

    @cached_property
    def any_in_progress(self) -> bool:
        """Whether a run of any model is in progress, beside the one that this process belongs to."""
        return any(run.in_progress and not is_this(run) for run in self.runs)

    @cached_property
    def living_from_s(self) -> float:
        """What was written before can never be found in a cache again, in seconds since 1970."""
        return living_from_s(self.now_s, self._days)

    @cached_property
    def _days(self) -> int:
        """The length of a generation: the longest one with which a run looked, or looks, for results."""
        runs = self.possible_runs
        days = [as_number(self.details(run, "resolve").get("days"), 0) for run in runs]
        ages_s = [self.now_s - run.unit.newest_s for run in runs]
        recent = [int(one) for one, age_s in zip(days, ages_s) if age_s < 2 * one * DAY_S and one <= MOST_DAYS]
        return max([self.retention.days, *recent])

    def details(self, run: Run, step: str) -> dict[str, Any]:
        """What a step recorded in a run; empty where there is nothing that can be read."""
        if step not in self._details:
            paths = [one.unit.path for one in self.possible_runs]
            records = read_objects(self.found.storage, [f"{path}/{artifacts.RECORDS}/{step}.json" for path in paths])
            found = (record.get("details") for record in records)
            self._details[step] = {path: one if isinstance(one, dict) else {} for path, one in zip(paths, found)}
        return self._details[step][run.unit.path]

    @cached_property
    def versions(self) -> dict[int, Unit]:
        """The complete versions, oldest first; a half deleted one is none."""
        whole = (unit for unit in self.found.units(versions_of(self.model)) if CHECKSUMS in unit.marks)
        numbered = ((version_number(unit.name), unit) for unit in whole)
        return dict(sorted((number, unit) for number, unit in numbered if number is not None))

    @cached_property
    def kept_versions(self) -> set[int] | None:
        """The versions that stay; None, and noted, where that cannot be told, so that none goes.

        These are the newest one (so that no number is used twice), those `wanted`, those spared, and those withdrawn
        whose snapshot is the newest: a run that made the same model again must be recognized.
        """
        if not self._is_known:
            return None
        try:
            wanted = self.wanted(self.store.named())
            withdrawn = set(self._withdrawn())
        except (UserError, OSError, ValueError) as error:
            self.note(f"{error}; until that is mended no version, run or data of {self.model} goes")
            return None
        return {*wanted, *self.spared, *withdrawn, *list(self.versions)[-1:]} & set(self.versions)

    @cached_property
    def _is_known(self) -> bool:
        """Whether all data and versions of the model were found; what was not is noted."""
        own = [path for path in self.found.unlisted if path.startswith((f"data/{self.model}", f"models/{self.model}"))]
        lost = sorted(self.known - set(self.versions))
        if lost and not own:
            where = self.found.storage.address(versions_of(self.model))
            named = ", ".join(map(str, lost))
            self.note(
                f"versions {named} in {where} were not found, as if behind a symbolic link or just deleted; until they "
                f"are, no version, run or data of {self.model} goes"
            )
        return not lost and not own

    def wanted(self, named: Iterable[int]) -> set[int]:
        """The versions that are named, their bases and their parents: a run starts from the base of the one in service.

        Raises:
            UserError: the lineage of one that is there cannot be read.
        """
        numbers = set(named)
        unseen = sorted(numbers - set(self.versions))  # added since the survey; or gone, and their names with them
        lineages = self.lineages(numbers & set(self.versions))
        keys = [self._lineage_key(number) for number in unseen]
        raw = zip(keys, read_objects(self.found.storage, keys))
        lineages += [self._checked(key, lineage) for key, lineage in raw if lineage]
        return numbers | {lineage[key] for lineage in lineages for key in ("base", "parent") if lineage.get(key)}

    def _withdrawn(self) -> Iterable[int]:
        for number in self.store.withdrawn():
            if number in self.versions and self.lineages([number])[0].get("snapshot") == self.newest_snapshot:
                yield number

    @cached_property
    def newest_snapshot(self) -> str | None:
        """The name of the snapshot that was made last."""
        units = self.found.units(snapshots_of(self.model))
        return max(units, key=lambda unit: (unit.newest_s, unit.name)).name if units else None

    def lineages(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Where versions come from.

        Raises:
            UserError: one cannot be read.
        """
        asked = list(numbers)
        missing = [number for number in asked if number not in self._lineages]
        keys = [self._lineage_key(number) for number in missing]
        for number, key, lineage in zip(missing, keys, read_objects(self.found.storage, keys)):
            self._lineages[number] = self._checked(key, lineage)
        return [self._lineages[number] for number in asked]

    def _checked(self, key: str, lineage: dict[str, Any]) -> dict[str, Any]:
        numbers = [lineage.get(name) for name in ("base", "parent")]
        if not isinstance(lineage.get("run"), str) or not all(one is None or type(one) is int for one in numbers):
            raise UserError(f"{self.found.storage.address(key)} cannot be read")
        return lineage

    def partitions(self, snapshot: Unit) -> set[str] | None:
        """The digests of a snapshot's partitions; None where its manifest cannot be read."""
        if snapshot.path not in self._partitions:
            described = read_object(self.found.storage, f"{snapshot.path}/snapshot.json").get("partitions")
            listed = described if isinstance(described, list) else [None]
            found = [one.get("digest") if isinstance(one, dict) else None for one in listed]
            digests = {digest for digest in found if isinstance(digest, str)}
            is_whole = all(isinstance(digest, str) for digest in found)
            self._partitions[snapshot.path] = digests if is_whole else None
        return self._partitions[snapshot.path]

    def _lineage_key(self, number: int) -> str:
        return f"{versions_of(self.model)}/{number}/{artifacts.LINEAGE}"

    def owner_of(self, run: str) -> str:
        """The model whose run has that name; empty where nobody knows."""
        return next((known.model for known in self.runs if known.unit.name == run), "")

    def note(self, sentence: str) -> None:
        """Says why something stays that might go; once."""
        if sentence not in self.unknown:
            self.unknown.append(sentence)

    @cached_property
    def _lineages(self) -> dict[int, dict[str, Any]]:
        return {}

    @cached_property
    def _partitions(self) -> dict[str, set[str] | None]:
        return {}

    @cached_property
    def _details(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {}


def is_this(run: Run) -> bool:
    """Whether this process belongs to a run, as the step finish does."""
    return run.unit.name == artifacts.run_name() != artifacts.UNNAMED_RUN
