"""The section `finish` of model.yaml."""

from pydantic import Field

from components.cleanup.config import Retention
from components.schema import Section


class Finish(Section):
    """Nothing to choose yet."""


class FinishConfig(Section):
    """What finish reads."""

    retention: Retention = Field(default_factory=Retention)
    finish: Finish = Field(default_factory=Finish)
