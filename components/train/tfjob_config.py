"""The `train.tfjob` section of model.yaml."""

from typing import Literal

from pydantic import Field

from components.kubernetes.quantity import QUANTITY
from components.schema import Section


class Toleration(Section):
    """A taint of nodes on which the pods may run nevertheless."""

    key: str | None = Field(None, description="key of the taint; null with operator Exists: every taint")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="whether the value must be equal or may be any")
    value: str | None = Field(None, description="value of the taint; null with operator Exists")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="effect of the taint; null: each"
    )


class TFJobSettings(Section):
    """The pods of a training that runs as a TFJob. What is null here is as in the step's own pod."""

    cpu: str | None = Field(None, pattern=QUANTITY, description="processor of each process, such as 4 or 500m")
    memory: str | None = Field(None, pattern=QUANTITY, description="memory of each process, such as 8Gi")
    gpus: int | None = Field(None, ge=0, le=64, description="GPUs of each worker; the other processes get none")
    node_selector: dict[str, str] | None = Field(None, description="labels that the nodes must have")
    tolerations: tuple[Toleration, ...] | None = Field(None, description="taints that the nodes may have")
    most_restarts: int = Field(
        10, ge=0, le=1000, description="how often one process may be preempted or killed before the training fails"
    )
    max_hours: float | None = Field(
        None, gt=0, le=8760, description="hours after which the training fails, waiting included; null: no limit"
    )
    patience_minutes: float = Field(
        10, gt=0, le=1440, description="minutes for which a pod may be impossible to make or to start"
    )
    clean_pods: Literal["running", "all", "none"] = Field(
        "running", description="which pods the operator removes when the job has ended; running keeps the failed ones"
    )
    keep_minutes: float = Field(
        60, ge=10, le=100_000, description="minutes for which a failed job stays there to be looked at"
    )
