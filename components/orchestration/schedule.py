"""The schedule of a model: the one recurring run that is on, and those that were before it.

Kubeflow Pipelines cannot change a recurring run, so that another version or time takes a new one. The old one is
switched off first: at no moment are two on. It is not deleted, because deleting it would end its run at work and break
what the UI shows of its runs, but for the oldest: each is an object with a whole pipeline in the cluster's etcd.

A command that is killed between the two would leave a schedule that looks like one that somebody paused. So a *mark*,
a recurring run that is never on, is made first and deleted last: where there is one, the schedule is meant to be on.
"""

from dataclasses import dataclass

from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import Object
from components.orchestration.client import Kubeflow
from components.orchestration.recurring_runs import Plan, RecurringRun, RecurringRuns

KEPT = 5
"""How many that were superseded stay."""


@dataclass(frozen=True)
class Situation:
    """What there is of a schedule, the newest first."""

    own: list[RecurringRun]
    marks: list[RecurringRun]

    @property
    def current(self) -> RecurringRun | None:
        """The one that is on; where none is, the newest."""
        return next((one for one in self.own if one.is_enabled), None) or next(iter(self.own), None)

    @property
    def superseded(self) -> list[RecurringRun]:
        """All but the current one."""
        return [one for one in self.own if one != self.current]

    @property
    def is_on(self) -> bool:
        """Whether it is on, or was before a command was killed that changed it."""
        return bool(self.marks) or any(one.is_enabled for one in self.own)


class Schedule:
    """The schedule of one model."""

    def __init__(self, kubeflow: Kubeflow, experiment: str, name: str) -> None:
        """Asks nothing yet.

        Args:
            kubeflow: the server.
            experiment: id of the model's experiment, in which others' recurring runs may be too.
            name: what the recurring runs are called, by which they are known.
        """
        self._kubeflow, self._experiment, self._name = kubeflow, experiment, name
        self._mark = f"{name} (being changed)"
        self._recurring = RecurringRuns(kubeflow, experiment)

    def situation(self) -> Situation:
        """What there is.

        Raises:
            UserError: it may not be listed.
        """
        found = self._recurring.all()
        named = {name: [one for one in found if one.name == name] for name in (self._name, self._mark)}
        return Situation(named[self._name], named[self._mark])

    def set(self, plan: Plan, paused: bool) -> RecurringRun:
        """Makes the schedule as planned; one that is paused stays so.

        Args:
            plan: what it is to be.
            paused: whether it is to be off.

        Returns:
            the current recurring run.

        Raises:
            UserError: something is refused; run again, it goes on from what is there.
        """
        now = self.situation()
        is_on = not paused and (now.is_on or not now.own)
        current = now.current
        if current is None or not plan.is_met_by(current):
            current = self._replace(now, plan, is_on)
        return self._settle(current, is_on)

    def switch(self, on: bool) -> RecurringRun:
        """Pauses the schedule, or lets it go on.

        Raises:
            UserError: there is none, or it is refused.
        """
        current = self.situation().current
        if current is None:
            raise UserError(f"there is no schedule {self._name}; make one with --cron or --every")
        return self._settle(current, on)

    def remove(self) -> list[str]:
        """Deletes the schedule and those before it; their runs stay listed.

        Returns:
            ids of those that stay, switched off, because a run of theirs is at work.

        Raises:
            UserError: something is refused.
        """
        now = self.situation()
        for one in now.marks:
            self._recurring.delete(one)
        for one in now.own:
            if one.is_enabled:
                self._recurring.disable(one)
        return self._delete(now.own)

    def _replace(self, now: Situation, plan: Plan, is_on: bool) -> RecurringRun:
        marks = now.marks
        if is_on and now.own and not marks:
            told = "a change of this schedule is under way, or was killed: run `pipeline.py schedule` again"
            other = Plan(plan.pipeline, plan.version, plan.trigger, told, plan.service_account)
            marks = [self._recurring.create(self._mark, other, enabled=False)]
        for one in now.own:
            if one.is_enabled:
                self._recurring.disable(one)
        return self._recurring.create(self._name, plan, is_on, self._start(now, plan, marks))

    def _start(self, now: Situation, plan: Plan, marks: list[RecurringRun]) -> str | None:
        """From when on a new recurring run counts, so that it goes on where the one before it was.

        An interval would begin anew with each release, and never end where releases come faster. What the clock struck
        while none was on would be lost.
        """
        before = now.current
        if before is None:
            return None
        own = {one.id for one in now.own}
        runs = self._kubeflow.newest_runs(self._experiment)
        times = [_text(run, "scheduled_at") for run in runs if run.get("recurring_run_id") in own]
        if plan.trigger.cron is None:
            return max(times, default=before.start or before.created)
        return max([*times, marks[-1].created]) if marks else None

    def _settle(self, current: RecurringRun, is_on: bool) -> RecurringRun:
        """Leaves the current one on, or off, the others off, and no mark."""
        now = self.situation()
        # Somebody else may have made another meanwhile: whoever lists last leaves the newest on.
        newest = next((one for one in now.own if one.is_enabled or one.id == current.id), current)
        for one in now.own:
            if one.is_enabled and (one.id != newest.id or not is_on):
                self._recurring.disable(one)
        if is_on and not newest.is_enabled:
            self._recurring.enable(newest)
        for mark in now.marks:
            self._recurring.delete(mark)
        self._delete([one for one in now.own if one.id != newest.id][KEPT:])
        return newest

    def _delete(self, old: list[RecurringRun]) -> list[str]:
        """Deletes those without a run at work; gives the ids of the others."""
        if not old:
            return []
        busy = {run.get("recurring_run_id") for run in self._kubeflow.unfinished_runs(self._experiment)}
        for one in old:
            if one.id not in busy:
                self._recurring.delete(one)
        return [one.id for one in old if one.id in busy]


def _text(raw: Object, key: str) -> str:
    found: str = raw.get(key) or ""
    return found
