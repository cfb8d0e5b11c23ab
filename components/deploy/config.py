"""The section `deploy` of model.yaml."""

from typing import Any, Literal

from pydantic import Field

from components.schema import Section


class Deploy(Section):
    """How a version that passed is put into service."""

    pointer: Literal["serving", "candidate"] = Field(
        "serving", description="pointer to move: serving answers requests, candidate only waits for a promotion"
    )


class DeployConfig(Section):
    """What deploy reads."""

    name: str
    deploy: Deploy
    model_yaml: dict[str, Any] = Field(description="the whole configuration, kept with the version")
