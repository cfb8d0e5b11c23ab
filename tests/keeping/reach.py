"""What must stay and what may stay of a model, told from the tests' own knowledge and not by cleanup's functions."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from tests.keeping.world import DAY_S, Model, Run, World, is_living

UNITS = (
    r"(?:[^/]+/)*?\.[^/]+\.tmp(?=/|$)",
    r"models/[^/]+/versions/[^/]+(?=/)",
    r"data/[^/]+/(?:partitions|snapshots)/[^/]+(?=/)",
    r"models/[^/]+/pointers/holds/[^/]+$",
    r"requests/[^/]+/[^/]+$",
    r"pipeline/\.kfp_cache/[^/]+$",
    r"(?:runs|checkpoints|pipeline)/[^/]+(?=/)",
)
CHECKPOINT_S = 7 * DAY_S


def units_of(files: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The files with their dates, by the folder or file with which they stay or go."""
    units: dict[str, dict[str, float]] = defaultdict(dict)
    for key, time_s in files.items():
        match = next((found for unit in UNITS if (found := re.match(unit, key))), None)
        if match:
            units[match[0]][key] = time_s
    return units


class Reach:
    """One model's part of a work directory at one moment."""

    def __init__(
        self, world: World, model: Model, files: Mapping[str, float], strict: bool, own_run: str | None = None
    ) -> None:
        """`strict`: what must stay in any case. Else what may stay too, at most until the next cleanup after a day."""
        self._world, self._model, self._now_s = world, model, world.clock.now_s
        self._units = units_of(files)
        self._strict, self._own_run = strict, own_run
        self._by_number = not strict or model.retention.bytes is None
        """`retention.bytes` frees what is kept only for its number or age."""

    @cached_property
    def kept(self) -> set[str]:
        """The paths of the units that stay."""
        name = self._model.name
        kept = {f"models/{name}/versions/{number}" for number in self.versions} | self._unfinished()
        kept |= {f"data/{name}/snapshots/{snapshot}" for snapshot in self._snapshots}
        kept |= self._partitions() | self._runs() | self._outputs() | self._checkpoints() | self._requests()
        return kept | self._temporaries()

    @property
    def own(self) -> set[str]:
        """The paths of all units that belong to the model or to nobody."""
        return {path for path in self._units if self._owner(path) in (self._model.name, "")}

    @property
    def private(self) -> set[str]:
        """The paths of all units that belong to the model, are not half deleted, and tell whose they are."""
        mine = {path for path in self._units if self._owner(path) == self._model.name and "/.deleted-" not in path}
        unknown = self._unknown_runs_of(self._model.name)
        return mine - {f"runs/{run.name}" for run in unknown if not self._may_be_anybodys(run)}

    def _owner(self, path: str) -> str:
        parts = path.split("/")
        if parts[0] in ("models", "data", "requests"):
            return parts[1]
        if parts[0] == "runs" and parts[1] in self._world.runs:
            return self._world.runs[parts[1]].model
        if path in self._world.entries:
            return self._world.outputs[self._world.entries[path][0]][0]
        return self._world.outputs[path][0] if path in self._world.outputs else ""

    def _newest_s(self, path: str) -> float:
        return max(self._units[path].values())

    def _below(self, folder: str) -> list[str]:
        return [path for path in self._units if path.rpartition("/")[0] == folder and not path.endswith(".tmp")]

    def _is_living(self, time_s: float) -> bool:
        """Whether a cache of this generation, or the one before, may know it."""
        return is_living(time_s, self._now_s, self._days)

    @cached_property
    def _days(self) -> int:
        """The length of a generation; a run that does not tell its model may be this one's, with a longer one."""
        own = self._model.retention.days
        unknown = [run for name in self._world.models for run in self._unknown_runs_of(name)]
        return own if self._strict else max([own, *(self._world.models[run.model].retention.days for run in unknown)])

    @cached_property
    def _working(self) -> list[Run]:
        present = [run for run in self._world.runs.values() if f"runs/{run.name}" in self._units]
        others = [run for run in present if run.name != self._own_run]
        return [run for run in others if run.in_progress(self._now_s, self._newest_s(f"runs/{run.name}"))]

    @cached_property
    def locked(self) -> bool:
        """Whether a run in progress may use all that is the model's; whose a run on a cluster is nobody knows."""
        return any(run.model == self._model.name or run.where == "cluster" for run in self._working)

    @cached_property
    def complete(self) -> list[int]:
        """The numbers of the versions that are there."""
        folders = self._below(f"models/{self._model.name}/versions")
        return sorted(int(path.rpartition("/")[2]) for path in folders if f"{path}/checksums.json" in self._units[path])

    @cached_property
    def versions(self) -> set[int]:
        """The numbers of the versions that stay."""
        named = self._model.pointers.named | (set() if self._strict else self._held())
        kept = self.complete[-1:] + (self.complete[-self._model.retention.versions :] if self._by_number else [])
        lineages = [self._model.versions[number] for number in named & set(self.complete)]
        related = {lineage[key] for lineage in lineages for key in ("base", "parent")}
        withdrawn = set() if self._strict else {number for number in self.complete if self._is_remembered(number)}
        return (set(self.complete) if self.locked else named | related | withdrawn | set(kept)) & set(self.complete)

    def _is_remembered(self, number: int) -> bool:
        """A version that was withdrawn must be recognized while the data are the same."""
        is_withdrawn = number in self._model.pointers.withdrawn
        return is_withdrawn and self._model.versions[number]["snapshot"] in self._newest_snapshot

    def _held(self) -> set[int]:
        """Versions that somebody was about to name when it was killed."""
        store = self._world.store(self._model)
        return set(store.named()) - self._model.pointers.named

    def _unfinished(self) -> set[str]:
        """What was claimed and not finished may come for a day, what is half deleted never."""
        folder = f"models/{self._model.name}/versions"
        doomed = set(self._world.store(self._model).doomed())
        parts = [path for path in self._below(folder) if int(path.rpartition("/")[2]) not in self.complete]
        whole = {path for path in parts if int(path.rpartition("/")[2]) not in doomed}
        return {path for path in whole if self.locked or self._now_s - self._newest_s(path) <= DAY_S}

    @cached_property
    def _newest_snapshot(self) -> set[str]:
        paths = self._below(f"data/{self._model.name}/snapshots")
        return {max(paths, key=lambda path: (self._newest_s(path), path)).rpartition("/")[2]} if paths else set()

    @cached_property
    def _snapshots(self) -> set[str]:
        paths = self._below(f"data/{self._model.name}/snapshots")
        names = {path.rpartition("/")[2] for path in paths}
        living = {path.rpartition("/")[2] for path in paths if self._is_living(self._newest_s(path))}
        young = [run for run in self._possible_runs if self._is_living(self._newest_s(f"runs/{run.name}"))]
        used = {run.snapshot for run in young if self._has_ingested(run)}
        if not self._strict:
            used |= {run.snapshot for run in self._newest_runs(1)}
        audited = {self._model.versions[number]["snapshot"] for number in self.versions if self._model.retention.audit}
        return (names if self.locked else living | used | audited | self._newest_snapshot) & names

    @property
    def _possible_runs(self) -> list[Run]:
        return self._runs_of(self._model.name)

    def _runs_of(self, name: str) -> list[Run]:
        runs = (run for run in self._world.runs.values() if f"runs/{run.name}" in self._units)
        return [run for run in runs if run.model == name]

    def _unknown_runs_of(self, name: str) -> list[Run]:
        """Those that do not tell whose they are."""
        return [run for run in self._runs_of(name) if not self._tells(run)]

    def _has_ingested(self, run: Run) -> bool:
        return f"runs/{run.name}/records/ingest.json" in self._units[f"runs/{run.name}"]

    def _tells(self, run: Run) -> bool:
        return f"runs/{run.name}/run.json" in self._units[f"runs/{run.name}"]

    def _newest_runs(self, count: int) -> list[Run]:
        known = filter(self._tells, self._possible_runs)
        return sorted(known, key=lambda run: -run.started_s)[:count]

    def _partitions(self) -> set[str]:
        folder = f"data/{self._model.name}/partitions"
        kept = {f"{folder}/{name}" for snapshot in self._snapshots for name in self._model.snapshots[snapshot]}
        return {path for path in self._below(folder) if self.locked or path in kept or self._young(path)}

    def _young(self, path: str) -> bool:
        return self._is_living(self._newest_s(path))

    def _runs(self) -> set[str]:
        made = {self._model.versions[number]["run"] for number in self.versions}
        newest = self._newest_runs(self._model.retention.runs) if self._by_number else []
        unknown = [run for run in self._unknown_runs_of(self._model.name) if self._may_be_anybodys(run)]
        kept = made | {run.name for run in (*newest, *unknown, *self._working)} | {self._own_run}
        return {f"runs/{run.name}" for run in self._possible_runs if run.name in kept}

    def _may_be_anybodys(self, run: Run) -> bool:
        """Whether a run that does not tell its model stays; any model's cleanup frees it once it is old for that."""
        newest_s, models = self._newest_s(f"runs/{run.name}"), self._world.models.values()
        is_young = all(is_living(newest_s, self._now_s, one.retention.days) for one in models)
        return not self._strict or bool(self._working) or is_young

    def _outputs(self) -> set[str]:
        """Outputs, and what the cache knows of them."""
        mine = {path for path in self.own if path in self._world.outputs or path in self._world.entries}
        named_s = {path: self._world.outputs[path][1] for path in mine & set(self._world.outputs)}
        return {path for path in mine if self.locked or self._young(path) or self._is_living(named_s.get(path, 0.0))}

    def _checkpoints(self) -> set[str]:
        """Of a training of any model."""
        return self._younger(self._below("checkpoints"), CHECKPOINT_S, bool(self._working))

    def _requests(self) -> set[str]:
        days = self._model.retention.requests_days if self._by_number else 1
        return self._younger(self._below(f"requests/{self._model.name}"), days * DAY_S)

    def _temporaries(self) -> set[str]:
        half = [path for path in self.own if path.endswith(".tmp") and "/.deleted-" not in path]
        mine = [path for path in half if self._owner(path) == self._model.name]
        holds = self._below(f"models/{self._model.name}/pointers/holds")
        shared = self._younger(set(half) - set(mine), DAY_S, bool(self._working))
        return shared | self._younger(mine, DAY_S, self.locked) | self._younger(holds, DAY_S)

    def _younger(self, paths: Iterable[str], age_s: float, all_of_them: bool = False) -> set[str]:
        return {path for path in paths if all_of_them or self._now_s - self._newest_s(path) <= age_s}
