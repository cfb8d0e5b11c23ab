"""What may go of a model, all kinds together."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.cleanup.budget import fit
from components.cleanup.checkpoints import abandoned_checkpoints
from components.cleanup.data import superseded_data
from components.cleanup.deletion import Deletion
from components.cleanup.leftovers import leftovers, unfinished_uploads
from components.cleanup.outputs import dead_outputs
from components.cleanup.requests import expired_requests
from components.cleanup.run_folders import nobodys_runs, old_runs
from components.cleanup.situation import Situation
from components.cleanup.versions import old_versions, unfinished_versions
from components.storage.storage import Upload


@dataclass(frozen=True)
class Plan:
    """What may go of a model."""

    versions: list[Deletion]
    others: list[Deletion]
    """Deleted after the versions, in this order: what names other things goes before these."""
    uploads: list[Upload]
    notes: list[str]
    """Why something stays that might be expected to go."""
    kept_runs: int
    """Run folders of the model that stay."""

    @property
    def deletions(self) -> list[Deletion]:
        """All of them."""
        return [*self.versions, *self.others]


def decide(situation: Situation) -> Plan:
    """What may go of a model, as if all of it could be deleted."""
    fit(situation, lambda one: [*old_versions(one), *_others(one)])
    others = _others(situation)
    going = {item.path for item in others}
    kept = sum(run.unit.path not in going for run in situation.own_runs)
    uploads = unfinished_uploads(situation)
    return Plan(list(old_versions(situation)), others, uploads, situation.unknown, kept)


def _others(situation: Situation) -> list[Deletion]:
    if situation.steady is None:
        situation.steady = _steady(situation)
    planned = [
        *situation.steady,
        *superseded_data(situation),
        *old_runs(situation),
        *expired_requests(situation),
    ]
    return _outermost(planned)


def _steady(situation: Situation) -> list[Deletion]:
    """What is found by reading much, and goes for its age alone."""
    return [
        *dead_outputs(situation),
        *unfinished_versions(situation),
        *nobodys_runs(situation),
        *abandoned_checkpoints(situation),
        *leftovers(situation),
    ]


def _outermost(deletions: Sequence[Deletion]) -> list[Deletion]:
    """Leaves out what lies inside another folder that goes."""
    paths = {item.path for item in deletions}
    return [item for item in deletions if not any(parent in paths for parent in _parents(item.path))]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
