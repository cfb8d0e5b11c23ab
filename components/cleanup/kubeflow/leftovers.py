"""What KFP left of one model on a cluster and may go.

- **Runs** of the pipeline `evergreen-<model>` that have ended before the previous cache generation began, beyond the
  newest `retention.runs`, but for those that made a version of the model store. To delete a run takes its workflow and
  what the cache knows of its tasks with it, so that no later run can find its outputs.
- **Outputs** (`<pipeline root>/evergreen-<model>/<run>/`) and **logs** (`<logs>/<workflow>/`) of a run that was
  deleted, once no run of the model is in progress that began before: that one may have found them. KFP never checks
  that what its cache returns is still there. The pipeline root is the run's own, where it was started with one.
- **TFJobs** of a run that has ended, once they have outlived their own `ttlSecondsAfterFinished`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components import artifacts
from components.cleanup.config import Retention
from components.cleanup.deletion import day
from components.cleanup.generation import living_from_s
from components.cleanup.kubeflow.marks import Mark
from components.cleanup.kubeflow.run import Run
from components.errors import UserError
from components.kubernetes.tfjob import RUN, Object
from components.storage.address import is_local
from components.storage.open import open_storage
from components.storage.storage import Storage
from components.store import ModelStore

CLOCKS_S = 60 * 60.0
"""How far the clocks of two machines may be apart."""
SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"
"""What Kubernetes puts behind a name to make it unique."""


@dataclass(frozen=True)
class Leftover:
    """Something that may go, and why."""

    kind: str
    """`TFJob`, `run`, `outputs` or `logs`."""
    name: str
    """The TFJob's name, the run's id, or the address of the outputs or logs."""
    bytes: int
    why: str
    version: str = ""
    """The TFJob's resource version; a run that took the job over has changed it."""


def pipeline_of(model: str) -> str:
    """The name of a model's pipeline."""
    return f"evergreen-{model}"


def old_runs(runs: Sequence[Run], retention: Retention, named: Iterable[str], now_s: float) -> Iterator[Run]:
    """The runs that may go.

    Args:
        runs: all runs of the model, newest first.
        retention: how much is kept.
        named: the runs that made the versions in the store.
        now_s: seconds since 1970.
    """
    living_s, kept = living_from_s(now_s, retention.days), frozenset(named)
    for run in runs[retention.runs :]:
        if run.is_over and run.ended_s < living_s and run.id not in kept:
            yield run


def runs_in_lineages(store: ModelStore) -> set[str]:
    """The runs that made the versions in the store.

    Raises:
        UserError: a lineage cannot be read, so that no run may go.
    """
    named = set()
    for version in store.versions():
        try:
            named.add(str(version.lineage["run"]))
        except (UserError, OSError, KeyError) as error:
            if store.find(version.number) is None:
                continue  # it was deleted meanwhile
            raise UserError(
                f"the {artifacts.LINEAGE} of version {version.number} cannot be read ({error!r}); until it is mended "
                "no run goes"
            ) from None
    return named


def mark_of(run: Run, model: str, root: str | None, logs: str | None) -> Mark:
    """The mark of a run that is to go.

    Args:
        run: the run.
        model: the model's name.
        root: the pipeline root of runs that name none of their own; None where outputs are left alone.
        logs: where each workflow has a folder with its pods' logs; None where these are left alone.
    """
    workflow = next(filter(None, (_workflow(name, model) for name in run.names)), None)
    return Mark(
        run.id,
        None if root is None else f"{as_s3(run.root or root).rstrip('/')}/{pipeline_of(model)}/{run.id}",
        None if logs is None or workflow is None else f"{logs.rstrip('/')}/{workflow}",
    )


def as_s3(address: str) -> str:
    """KFP writes `minio://` for S3 servers that are not Amazon's."""
    return address.replace("minio://", "s3://", 1)


def _workflow(name: str, model: str) -> str | None:
    """The workflow that a task or pod belongs to; of names over 47 characters, which Kubernetes cuts, None."""
    found = re.match(rf"({re.escape(pipeline_of(model))}-{SUFFIX})(-|$)", name)
    return found and found[1]


def is_free(mark: Mark, in_progress: Iterable[Run]) -> bool:
    """Whether no run can have found the outputs of a deleted one.

    Args:
        mark: of the deleted run.
        in_progress: the runs of the model that have not ended, listed after that run was gone.
    """
    return mark.deleted_s is not None and all(run.created_s > mark.deleted_s + CLOCKS_S for run in in_progress)


def old_jobs(jobs: Iterable[Object], runs: Mapping[str, Run], now_s: float) -> Iterator[Leftover]:
    """The TFJobs that may go.

    Args:
        jobs: TFJobs as the API server tells them.
        runs: the model's runs by id.
        now_s: seconds since 1970.
    """
    for job in jobs:
        run = runs.get(job["metadata"].get("labels", {}).get(RUN, ""))
        kept_s = job["spec"].get("runPolicy", {}).get("ttlSecondsAfterFinished") or 0
        if run is not None and run.is_over and now_s > run.ended_s + kept_s:
            why = f"TFJob of a run that ended on {day(run.ended_s)}"
            yield Leftover("TFJob", job["metadata"]["name"], 0, why, job["metadata"]["resourceVersion"])


def in_places(mark: Mark, why: str) -> Iterator[Leftover]:
    """What a run left in storages."""
    for kind, address in mark.places.items():
        storage, prefix = opened(address)
        sizes = [entry.bytes for entry in storage.entries(prefix)]
        if sizes:
            yield Leftover(kind, address, sum(sizes), why)


def finds_outputs(mark: Mark) -> bool:
    """Whether outputs of the model's runs, whichever, lie where those of this one are looked for."""
    if mark.outputs is None:
        return True
    folder, _, _ = mark.outputs.rpartition("/")
    if not is_place(folder):
        return False
    return next(open_storage(folder).entries(), None) is not None


def is_place(address: str) -> bool:
    """Whether an address can be opened, and is no mistyped URL that would be taken for a new folder."""
    return address.startswith("s3://") or (is_local(address) and Path(address).is_dir())


def opened(address: str) -> tuple[Storage, str]:
    """The storage around a place, and the place's name in it."""
    root, _, name = address.rpartition("/")
    return open_storage(root), name
