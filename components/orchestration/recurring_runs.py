"""The recurring runs of an experiment of Kubeflow Pipelines; one can be made, switched and deleted, but not changed."""

from dataclasses import dataclass

import kfp_server_api

from components.kubernetes.kubeflow_pipelines import Object
from components.orchestration.client import Kubeflow
from components.orchestration.trigger import Trigger

AT_ONCE = 1
"""A retraining reads and writes the one model store: the next one waits for it."""


@dataclass(frozen=True)
class RecurringRun:
    """A recurring run, as the server tells it."""

    id: str
    name: str
    description: str
    pipeline: str
    version: str
    is_enabled: bool
    trigger: Trigger
    created: str
    """Times are texts like 2026-01-31T03:00:00Z, whose order is theirs."""
    start: str | None


@dataclass(frozen=True)
class Plan:
    """What a recurring run is to be."""

    pipeline: str
    version: str
    trigger: Trigger
    description: str
    """Tells everything but version and trigger that the plan depends on."""
    service_account: str | None

    def is_met_by(self, recurring: RecurringRun) -> bool:
        """Whether a recurring run is as planned."""
        same = (recurring.version, recurring.trigger, recurring.description)
        return same == (self.version, self.trigger, self.description)


class RecurringRuns:
    """Those of one experiment."""

    def __init__(self, kubeflow: Kubeflow, experiment: str) -> None:
        """Asks nothing yet."""
        self._api, self._experiment = kubeflow.api, experiment
        self._service = kfp_server_api.RecurringRunServiceApi(kubeflow.api.client)

    def all(self) -> list[RecurringRun]:
        """All of the experiment, the newest first.

        Raises:
            UserError: they may not be listed.
        """
        call, page = self._service.recurring_run_service_list_recurring_runs, {"sort_by": "created_at desc"}
        found = self._api.pages("list schedules", call, "recurringRuns", page, experiment_id=self._experiment)
        return [self._api.told(_read, raw) for raw in found]

    def create(self, name: str, plan: Plan, enabled: bool, start: str | None = None) -> RecurringRun:
        """Makes a recurring run; times that were missed are not caught up.

        Raises:
            UserError: it is refused, or nobody knows whether it was made.
        """
        wanted: Object = {
            "display_name": name,
            "description": plan.description,
            "experiment_id": self._experiment,
            "pipeline_version_reference": {"pipeline_id": plan.pipeline, "pipeline_version_id": plan.version},
            "runtime_config": {"parameters": {}},
            "trigger": plan.trigger.written(start),
            "mode": "ENABLE" if enabled else "DISABLE",
            "max_concurrency": str(AT_ONCE),
            "no_catchup": True,
            **({"service_account": plan.service_account} if plan.service_account else {}),
        }
        call = self._service.recurring_run_service_create_recurring_run
        return self._api.told(_read, self._api.ask_once("make a schedule", call, recurring_run=wanted))

    def enable(self, recurring: RecurringRun) -> None:
        """Switches one on.

        Raises:
            UserError: it may not be, or is gone.
        """
        call = self._service.recurring_run_service_enable_recurring_run
        self._api.ask(f"switch schedule {recurring.id} on", call, recurring_run_id=recurring.id)

    def disable(self, recurring: RecurringRun) -> None:
        """Switches one off; a gone one is fine.

        Raises:
            UserError: it may not be.
        """
        call = self._service.recurring_run_service_disable_recurring_run
        self._api.find(f"switch schedule {recurring.id} off", call, recurring_run_id=recurring.id)

    def delete(self, recurring: RecurringRun) -> None:
        """Deletes one, and the workflows of its runs at work; its runs stay listed. A gone one is fine.

        Raises:
            UserError: it may not be deleted.
        """
        call = self._service.recurring_run_service_delete_recurring_run
        self._api.find(f"delete schedule {recurring.id}", call, recurring_run_id=recurring.id)


def _read(raw: Object) -> RecurringRun:
    version, trigger = raw.get("pipeline_version_reference") or {}, raw["trigger"]
    schedule: Object = trigger.get("cron_schedule") or trigger.get("periodic_schedule") or {}
    return RecurringRun(
        id=raw["recurring_run_id"],
        name=raw["display_name"],
        description=raw.get("description", ""),
        pipeline=version.get("pipeline_id", ""),
        version=version.get("pipeline_version_id", ""),
        is_enabled=raw.get("status") == "ENABLED",
        trigger=Trigger.read(trigger),
        created=raw["created_at"],
        start=schedule.get("start_time"),
    )
