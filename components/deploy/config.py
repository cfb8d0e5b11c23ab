"""The section `deploy` of model.yaml."""

from typing import Any, Literal

from pydantic import Field, model_validator

from components.kubernetes.quantity import QUANTITY
from components.schema import Section

NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


class InferenceService(Section):
    """The InferenceService of KServe that serves the model on a cluster. What is null stays as it is there."""

    name: str | None = Field(
        None, max_length=50, pattern=NAME, description="name of the InferenceService; null: the model's"
    )
    namespace: str | None = Field(
        None, max_length=63, pattern=NAME, description="namespace that it lies in; null: that of the step's pod"
    )
    runtime: str = Field(
        "evergreen", max_length=253, description="ServingRuntime that runs the server, as manifests/base has it"
    )
    service_account: str | None = Field(
        None, max_length=253, description="service account of its pods, which must be able to read the bucket"
    )
    min_replicas: int | None = Field(None, ge=1, le=1000, description="pods at least")
    max_replicas: int | None = Field(None, ge=1, le=1000, description="pods at most")
    cpu: str | None = Field(None, pattern=QUANTITY, description="processor of each pod, such as 1 or 500m")
    memory: str | None = Field(None, pattern=QUANTITY, description="memory of each pod, such as 1Gi")
    wait_minutes: float = Field(
        15, gt=0, le=240, description="minutes in which a version must be ready and answer rightly, or be taken back"
    )
    tolerance: float = Field(
        1e-3,
        ge=0,
        description="largest difference of an answer x, as a share of max(1, |x|), from the one recorded by rehearse; "
        "nodes of another kind round otherwise, small models above all",
    )

    @model_validator(mode="after")
    def _check(self) -> "InferenceService":
        if (self.min_replicas or 1) > (self.max_replicas or self.min_replicas or 1):
            raise ValueError(
                f"min_replicas is {self.min_replicas}, but max_replicas is {self.max_replicas}; raise max_replicas"
            )
        return self


class Deploy(Section):
    """How a version that passed is put into service."""

    pointer: Literal["serving", "candidate"] = Field(
        "serving", description="pointer to move: serving answers requests, candidate only waits for a promotion"
    )
    inference_service: InferenceService | None = Field(
        None, description="what serves the model on a cluster; null: whatever follows the pointer"
    )

    @model_validator(mode="after")
    def _check(self) -> "Deploy":
        if self.inference_service is not None and self.pointer == "candidate":
            raise ValueError(
                "inference_service needs pointer serving, because a candidate answers for nothing yet; remove one"
            )
        return self


class DeployConfig(Section):
    """What deploy reads."""

    name: str
    deploy: Deploy
    model_yaml: dict[str, Any] = Field(description="the whole configuration, kept with the version")
