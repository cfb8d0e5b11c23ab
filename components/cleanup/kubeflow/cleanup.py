"""Plans and deletes what KFP left of one model on a cluster; `leftovers.py` says what may go.

The order makes a crash harmless: a run is marked, then deleted, then its outputs and logs go, then the mark. Whatever
is killed is run again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from components.cleanup.config import Retention
from components.cleanup.deletion import Deletion, Failure, day
from components.cleanup.kubeflow.leftovers import (
    Leftover,
    finds_outputs,
    in_places,
    is_free,
    mark_of,
    old_jobs,
    old_runs,
    opened,
    pipeline_of,
    runs_in_lineages,
)
from components.cleanup.kubeflow.marks import Mark, marks, remove_mark, write_mark
from components.cleanup.kubeflow.pipelines import Pipelines
from components.cleanup.kubeflow.run import Run
from components.cleanup.log import log_deletions, log_failures
from components.cleanup.survey import CLEANUP
from components.errors import UserError
from components.kubernetes.api import Cluster
from components.kubernetes.tfjob import OURS
from components.storage.storage import Storage
from components.store import ModelStore

DAY_S = 24 * 60 * 60


@dataclass
class Plan:
    """What may go of one model."""

    jobs: list[Leftover] = field(default_factory=list)
    runs: list[tuple[Leftover, Mark]] = field(default_factory=list)
    outputs: list[Leftover] = field(default_factory=list)
    """Of the runs that go, and of those that went before; not what a run in progress may use."""
    notes: list[str] = field(default_factory=list)
    """Why something stays that might go."""

    @property
    def leftovers(self) -> list[Leftover]:
        """All of it, in the order in which it goes."""
        return [*self.jobs, *(leftover for leftover, _ in self.runs), *self.outputs]


@dataclass
class Freed:
    """What is gone, and what is not."""

    leftovers: list[Leftover] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Cleanup:
    """What cleaning up after one model takes."""

    model: str
    retention: Retention
    pipelines: Pipelines
    cluster: Cluster | None
    """None where TFJobs are left alone."""
    work: Storage
    """The work directory."""
    store: ModelStore
    root: str | None
    """The pipeline root of runs that name none of their own; None where outputs are left alone."""
    logs: str | None
    """Where each workflow has a folder with its pods' logs; None where these are left alone."""

    def plan(self, runs: Sequence[Run], now_s: float) -> Plan:
        """What may go; deletes nothing.

        Args:
            runs: all runs in the namespace, newest first.
            now_s: seconds since 1970.

        Raises:
            UserError: something needed cannot be read.
        """
        own = [run for run in runs if self._is_own(run)]
        plan = Plan()
        if self.cluster is not None:
            plan.jobs += old_jobs(self.cluster.jobs(OURS), {run.id: run for run in own}, now_s)
        self._plan_runs(plan, own, now_s)
        planned = [mark for _, mark in plan.runs]
        self._plan_outputs(plan, [*planned, *self._gone({mark.run for mark in planned})], runs, now_s)
        return plan

    def _is_own(self, run: Run) -> bool:
        """Whether a run is of the model's pipeline: by the name of the upload, and by what was uploaded."""
        name = pipeline_of(self.model)
        return self.pipelines.pipeline_name(run) == name and self.pipelines.compiled_name(run) == name

    def _plan_runs(self, plan: Plan, own: Sequence[Run], now_s: float) -> None:
        lost: Counter[str] = Counter()
        known: dict[str, bool] = {}
        for run in old_runs(own, self.retention, runs_in_lineages(self.store), now_s):
            mark = mark_of(run, self.model, self.root, self.logs)
            folder = (mark.outputs or "").rpartition("/")[0]
            if folder not in known:
                known[folder] = finds_outputs(mark)
            if not known[folder]:
                lost[folder] += 1
                continue
            why = f"run of {day(run.created_s)}, older than what the cache returns, not among the newest "
            plan.runs.append((Leftover("run", run.id, 0, f"{why}{self.retention.runs}"), mark))
        for folder, count in lost.items():
            plan.notes.append(f"{count} runs stay, because no outputs lie in {folder}; check the pipeline root")

    def _plan_outputs(self, plan: Plan, marked: Sequence[Mark], runs: Sequence[Run], now_s: float) -> None:
        working = list(self._working(runs))
        waiting = 0
        for mark in marked:
            if is_free(replace(mark, deleted_s=mark.deleted_s or now_s), working):
                plan.outputs += in_places(mark, "left by a run that is deleted")
            elif mark.places:
                waiting += 1
        if waiting:
            oldest = min(working, key=lambda run: run.created_s)
            plan.notes.append(
                f"run {oldest.id} of {self.model} is in progress since {day(oldest.created_s)} "
                f"({(now_s - oldest.created_s) / DAY_S:.0f} days): outputs and logs of {waiting} runs, which it may "
                "use, stay until a cleanup after its end; terminate it if it is at work no more"
            )

    def apply(self, plan: Plan, clock: Callable[[], float] = time.time) -> Freed:
        """Deletes what was planned; what cannot be deleted does not keep the rest from going."""
        freed = Freed()
        self._log([*plan.jobs, *(leftover for leftover, _ in plan.runs)], clock())
        if self.cluster is not None:
            for job in plan.jobs:
                self._try(freed, job, partial(self.cluster.delete, job.name, version=job.version))
        for leftover, mark in plan.runs:
            self._try(freed, leftover, partial(self._delete_run, mark, clock))
        self._confirm_marks(clock)
        # Listed only now: whoever begins after a run is gone cannot find its outputs.
        working = list(self._working(self.pipelines.runs(in_progress=True)))
        free = [mark for mark in marks(self.work, self.model) if is_free(mark, working)]
        self._free(freed, [(mark, list(in_places(mark, "left by a run that is deleted"))) for mark in free], clock())
        log_failures(self.work, self._log_key, freed.failures, clock())
        return freed

    @property
    def _log_key(self) -> str:
        """Not the log of `components.cleanup`, which may be at work at the same time."""
        return f"{CLEANUP}/{self.model}/kubeflow/log.jsonl"

    def _log(self, leftovers: Sequence[Leftover], now_s: float) -> None:
        deletions = [Deletion(f"{one.kind} {one.name}", one.bytes, one.why, 0.0) for one in leftovers]
        log_deletions(self.work, self._log_key, deletions, now_s)

    def _working(self, runs: Sequence[Run] | Iterator[Run]) -> Iterator[Run]:
        """The runs in progress that may use outputs of this model, because the cache takes them for its own."""
        for run in runs:
            if not run.is_over and self.pipelines.compiled_name(run) in (pipeline_of(self.model), None):
                yield run

    def _gone(self, but: set[str]) -> Iterator[Mark]:
        """The marked runs that are gone."""
        for mark in marks(self.work, self.model):
            if mark.run not in but and self.pipelines.find(mark.run) is None:
                yield mark

    def _delete_run(self, mark: Mark, clock: Callable[[], float]) -> None:
        run = self.pipelines.find(mark.run)
        if run is not None and not run.is_over:
            raise UserError(f"run {mark.run} was started again meanwhile; it stays")
        write_mark(self.work, self.model, mark)
        self.pipelines.delete(mark.run)
        write_mark(self.work, self.model, replace(mark, deleted_s=clock()))

    def _confirm_marks(self, clock: Callable[[], float]) -> None:
        """Brings marks up to date that a killed cleanup left between marking a run and deleting it, or after that."""
        for mark in list(marks(self.work, self.model)):
            if mark.deleted_s is not None:
                continue
            if self.pipelines.find(mark.run) is None:
                write_mark(self.work, self.model, replace(mark, deleted_s=clock()))
            else:
                remove_mark(self.work, self.model, mark.run)

    def _free(self, freed: Freed, left: Sequence[tuple[Mark, Sequence[Leftover]]], now_s: float) -> None:
        self._log([leftover for _, leftovers in left for leftover in leftovers], now_s)
        for mark, leftovers in left:
            deleted = [self._try(freed, leftover, partial(_delete_place, leftover.name)) for leftover in leftovers]
            if all(deleted):
                remove_mark(self.work, self.model, mark.run)

    def _try(self, freed: Freed, leftover: Leftover, delete: Callable[[], None]) -> bool:
        try:
            delete()
        except (UserError, OSError) as error:
            freed.failures.append(Failure(leftover.name, str(error)))
            return False
        freed.leftovers.append(leftover)
        return True


def _delete_place(address: str) -> None:
    storage, prefix = opened(address)
    storage.delete(entry.key for entry in storage.entries(prefix))
