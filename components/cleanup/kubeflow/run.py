"""What Kubeflow Pipelines (v2beta1) tells of a run."""

from dataclasses import dataclass
from datetime import datetime, timezone

from components.kubernetes.kubeflow_pipelines import ENDED, Object


@dataclass(frozen=True)
class Run:
    """A run, as the server tells it."""

    id: str
    state: str
    created_s: float
    """Seconds since 1970."""
    ended_s: float
    """Seconds since 1970 of its end; of its creation where that is not known."""
    names: tuple[str, ...]
    """What its tasks and their pods are called; they begin with the name of its workflow."""
    pipeline_id: str | None
    version_id: str | None
    spec_name: str | None
    """The name in the pipeline that it was started with; None where it was started from an uploaded version."""
    root: str | None
    """The pipeline root that it was started with; None where it has the default."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED


def read_run(raw: Object) -> Run:
    """A run, from the JSON of an answer.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: the answer is of another shape.
    """
    version = raw.get("pipeline_version_reference") or {}
    created_s = _time_s(raw.get("created_at"))
    tasks = (raw.get("run_details") or {}).get("task_details") or []
    pods = [child.get("pod_name") for task in tasks for child in task.get("child_tasks") or []]
    return Run(
        id=raw["run_id"],
        state=raw.get("state", ""),
        created_s=created_s,
        ended_s=max(created_s, _time_s(raw.get("finished_at"))),
        names=tuple(name for name in (*(task.get("display_name") for task in tasks), *pods) if name),
        pipeline_id=version.get("pipeline_id"),
        version_id=version.get("pipeline_version_id"),
        spec_name=spec_name(raw),
        root=(raw.get("runtime_config") or {}).get("pipeline_root") or None,
    )


def spec_name(raw: Object) -> str | None:
    """The name in a pipeline's YAML; with settings for Kubernetes, the server wraps it once more."""
    spec: Object = raw.get("pipeline_spec") or {}
    name: str | None = (spec.get("pipeline_spec", spec).get("pipelineInfo") or {}).get("name")
    return name


def _time_s(text: str | None) -> float:
    """Seconds since 1970 of `2026-01-31T23:59:59Z`, without fractions; 0 where there is none."""
    if not text:
        return 0.0
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
