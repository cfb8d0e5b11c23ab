"""The section `cluster` of model.yaml: where a compiled pipeline runs, and what each of its steps gets there.

Only `pipeline.py compile`, `submit` and `schedule` read it. It is part of no step's configuration and of no image, so
that other resources retrain nothing. Two keys stand in the cache key of Kubeflow Pipelines itself: `registry`, as part
of the images' names, and the claims among `volumes`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from components.schema import Section

MIB = 2**20
QUANTITY = r"^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$"
"""KFP's SDK takes no fractions; Kubernetes does not know the SDK's K."""
UNITS = {"Mi": MIB, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
OWN_VOLUMES = re.compile(r"tmp|empty-\d+")
"""What `orchestration/cluster.py` calls empty folders."""
OWN_LABELS = ("model", "step", "run", "owner", "app.kubernetes.io/part-of")
FOREIGN_LABELS = ("pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/")
TAKEN_PATHS: tuple[str, ...] = ("/app", "/tmp", "/usr", "/var/run/argo", "/var/run/secrets/kubernetes.io")
TAKEN_PATHS += ("/.cache", "/.config", "/.local", "/gcs", "/kfp-launcher", "/kfp-workspace", "/minio", "/s3")
"""What the images, Kubernetes and Argo, and Kubeflow Pipelines have there already."""
StepName = Literal[
    "ingest",
    "resolve",
    "validate",
    "preprocess",
    "train",
    "compress",
    "evaluate",
    "rehearse",
    "deploy",
    "predict",
    "finish",
]
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=63)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY)]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY, max_length=316)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE)]
Labels = dict[LabelKey, LabelValue]
Variables = dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str]
"""Environment variables, and the key of a Secret or ConfigMap whose value each takes."""


class Toleration(Section):
    """A taint that pods accept, in the words of Kubernetes."""

    key: str = Field("", description="the taint's key; empty: every key, with operator Exists")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="how the taint is compared")
    value: str = Field("", description="the taint's value, for Equal")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="the taint's effect; null: every effect"
    )

    @model_validator(mode="after")
    def _check(self) -> "Toleration":
        if self.operator == "Equal" and not self.key:
            raise ValueError("a toleration without a key accepts every taint; write operator Exists if that is meant")
        if self.operator == "Exists" and self.value:
            raise ValueError(f"value is {self.value}, which Exists does not look at; remove it or write operator Equal")
        return self


class Nodes(Section):
    """How nodes of one kind are told from others."""

    node_selector: Labels = Field(default_factory=dict, description="labels that the nodes have")
    tolerations: tuple[Toleration, ...] = Field((), description="taints that the nodes have")


class Volume(Section):
    """A folder that a pod gets; exactly one source."""

    path: str = Field(pattern=r"^(/[^/:]+)+$", description="absolute path in the pod")
    claim: Name | None = Field(None, description="PersistentVolumeClaim; it is part of the cache key of KFP")
    secret: Name | None = Field(None, description="Secret, one file a key")
    config_map: Name | None = Field(None, description="ConfigMap, one file a key")
    empty_dir: Quantity | None = Field(None, description="an empty folder of at most this size, such as 10Gi")

    @model_validator(mode="after")
    def _check(self) -> "Volume":
        sources = [name for name in ("claim", "secret", "config_map", "empty_dir") if getattr(self, name) is not None]
        if len(sources) != 1:
            told = " and ".join(sources) or "no source"
            raise ValueError(f"{self.path} has {told}; give one of claim, secret, config_map, empty_dir")
        if OWN_VOLUMES.fullmatch(_source(self) or ""):
            raise ValueError(f"{_source(self)} is what a volume of the pod is called already; choose another name")
        # A folder above would hide the taken one.
        own = f"{self.path}/"
        taken = [path for path in TAKEN_PATHS if own.startswith(f"{path}/") or f"{path}/".startswith(own)]
        if taken:
            raise ValueError(f"path is {self.path}, and {taken[0]} is taken; choose another such as /data")
        return self


class StepSettings(Section):
    """What the pod of a step asks for, and what happens when it fails."""

    cpu: float = Field(1, ge=0.01, le=1024, description="CPU cores that are reserved")
    cpu_limit: float | None = Field(
        None, ge=0.01, le=1024, description="CPU cores that may be used; null: twice the reserved ones"
    )
    memory: Quantity = Field("2Gi", description="memory that is reserved, such as 500Mi or 8Gi")
    memory_limit: Quantity | None = Field(
        None, description="memory above which the pod is killed; null: what is reserved"
    )
    gpus: int = Field(0, ge=0, le=64, description="accelerators")
    accelerator: LabelKey = Field("nvidia.com/gpu", description="resource that an accelerator is counted as")
    node_selector: Labels = Field(default_factory=dict, description="labels that the node must have")
    tolerations: tuple[Toleration, ...] = Field((), description="taints that the node may have")
    spot: bool = Field(
        False, description="whether the step runs on cluster.spot, where that is described; it must survive preemption"
    )
    retries: int = Field(2, ge=0, le=20, description="how often the step is started again when it fails")
    backoff_s: int = Field(30, ge=1, le=3600, description="seconds before the first retry")
    backoff_factor: int = Field(
        2, ge=1, le=10, description="by what each further wait is longer; Argo knows whole numbers only"
    )
    timeout_minutes: int = Field(60, ge=1, le=43_200, description="minutes after which one attempt is ended")
    tmp: Quantity = Field("20Gi", description="size of the empty folder at /tmp, the only one that may be written")
    secrets: dict[Name, Variables] = Field(
        {"evergreen-s3": {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}},
        description="Secret → environment variable → its key, in place of the bucket's keys, so name them again; what "
        "does not exist is left out",
    )
    config_maps: dict[Name, Variables] = Field(
        {"evergreen-s3": {name: name for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}},
        description="ConfigMap → environment variable → its key, in place of the bucket's address, so name it again; "
        "what does not exist is left out",
    )
    volumes: tuple[Volume, ...] = Field((), description="folders that the pod gets")

    @model_validator(mode="after")
    def _check(self) -> "StepSettings":
        for names in ([volume.path for volume in self.volumes], [_source(volume) for volume in self.volumes]):
            twice = {name for name in names if name is not None and names.count(name) > 1}
            if twice:
                raise ValueError(f"volumes names {min(twice)} twice; write it once")
        return self

    @property
    def cpu_ceiling(self) -> float:
        """CPU cores that may be used."""
        return 2 * self.cpu if self.cpu_limit is None else self.cpu_limit

    @property
    def memory_ceiling(self) -> str:
        """Memory above which the pod is killed."""
        return self.memory if self.memory_limit is None else self.memory_limit


def _source(volume: Volume) -> str | None:
    """KFP names a pod's volume by what it holds."""
    return volume.claim or volume.secret or volume.config_map


# Resources for tables of some million rows on two cores. Every step is idempotent and may be preempted; `deploy`
# changes what answers requests, `resolve` and `finish` are too short to save anything.
BUILT_IN: dict[StepName, dict[str, Any]] = {
    "ingest": {"memory": "4Gi", "timeout_minutes": 120, "spot": True},
    "resolve": {"cpu": 0.5, "memory": "1Gi", "timeout_minutes": 30},
    "validate": {"memory": "4Gi", "spot": True},
    "preprocess": {"cpu": 2.0, "memory": "8Gi", "retries": 3, "timeout_minutes": 240, "spot": True},
    "train": {"cpu": 2.0, "memory": "8Gi", "retries": 5, "timeout_minutes": 720, "spot": True},
    "compress": {"cpu": 2.0, "memory": "8Gi", "retries": 3, "timeout_minutes": 360, "spot": True},
    "evaluate": {"cpu": 2.0, "memory": "4Gi", "timeout_minutes": 120, "spot": True},
    "rehearse": {"cpu": 2.0, "memory": "4Gi", "spot": True},
    "deploy": {"cpu": 0.5, "timeout_minutes": 120},
    "predict": {"cpu": 2.0, "memory": "4Gi", "timeout_minutes": 240, "spot": True},
    "finish": {"cpu": 0.5, "timeout_minutes": 30},
}


class Cluster(Section):
    """Where a compiled pipeline runs, and what each of its steps gets there."""

    work_uri: str | None = Field(
        None, min_length=1, description="default of the run parameter work_uri, such as s3://bucket/evergreen"
    )
    namespace: Name | None = Field(None, description="namespace of the runs; null: the client's own")
    service_account: Name | None = Field(None, description="account that the pods run as; null: KFP's default")
    registry: str = Field(
        "",
        pattern=r"^([^/@\s]+(/[^/@\s]+)*)?$",
        description="registry and path before the images' names, for images that images.lock does not pin",
    )
    image_pull_secrets: tuple[Name, ...] = Field((), description="Secrets that open the registry")
    labels: Labels = Field(default_factory=dict, description="more labels for every pod, such as cost-center")
    run_hours: int = Field(24, ge=1, le=720, description="hours after which a run is ended, whatever it waits for")
    spot: Nodes | None = Field(
        None, description="nodes that are cheap and may be taken away, for steps with spot: true; null: none"
    )
    on_demand: Nodes = Field(default_factory=Nodes, description="nodes for the other steps; empty: any without a taint")
    defaults: StepSettings = Field(
        default_factory=StepSettings, description="settings of every step; what is not said here is built in"
    )
    steps: dict[StepName, StepSettings] = Field(
        default_factory=dict, description="settings of single steps, before the defaults"
    )

    @model_validator(mode="after")
    def _check(self) -> "Cluster":
        wrong = [key for key in self.labels if key in OWN_LABELS or key.startswith(FOREIGN_LABELS)]
        if wrong:
            raise ValueError(f"labels has {wrong[0]}, which is set already; choose another key")
        for step in BUILT_IN:
            settings = self.settings(step)
            for name in ("cpu", "memory"):
                reserved, most = getattr(settings, name), getattr(settings, f"{name}_ceiling")
                if _size(most) < _size(reserved):
                    raise ValueError(
                        f"{step} would get a {name}_limit of {most} and {name} of {reserved}; the limit must not be "
                        f"less: set both in steps.{step} or in defaults"
                    )
        return self

    @model_validator(mode="after")
    def _check_times(self) -> "Cluster":
        sections = {"defaults": self.defaults} | {f"steps.{step}": settings for step, settings in self.steps.items()}
        for name, settings in sections.items():
            if "timeout_minutes" in settings.model_fields_set and settings.timeout_minutes > 60 * self.run_hours:
                told = f"{name}.timeout_minutes is {settings.timeout_minutes}"
                raise ValueError(f"{told}, but a run is ended after run_hours, {self.run_hours}; raise that")
        return self

    def settings(self, step: StepName) -> StepSettings:
        """What a step gets: what `steps` says of it, else `defaults`, else what is built in."""
        said = [self.defaults, *filter(None, [self.steps.get(step)])]
        merged = dict(BUILT_IN[step])
        for section in said:
            merged |= {name: getattr(section, name) for name in section.model_fields_set}
        return StepSettings(**merged)

    def nodes(self, step: StepName) -> Nodes:
        """The nodes that a step runs on."""
        settings = self.settings(step)
        kind = self.spot if settings.spot and self.spot is not None else self.on_demand
        return Nodes(
            node_selector={**kind.node_selector, **settings.node_selector},
            tolerations=(*kind.tolerations, *settings.tolerations),
        )


def _size(amount: float | str) -> float:
    """Cores, or bytes of a quantity of memory."""
    if not isinstance(amount, str):
        return amount
    number = amount.rstrip("MGTi")
    return int(number) * UNITS[amount.removeprefix(number)]
