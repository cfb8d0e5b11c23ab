"""The section `resolve` of model.yaml."""

from typing import Literal

from pydantic import Field

from components.cleanup.config import Retention
from components.schema import Section


class Resolve(Section):
    """What a run starts from."""

    start: Literal["warm", "cold"] = Field(
        "warm", description="warm: from the newest good version's weights and constants; cold: from scratch"
    )


class ResolveConfig(Section):
    """What resolve reads."""

    name: str
    resolve: Resolve
    retention: Retention
