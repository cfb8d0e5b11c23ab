"""The section `retention` of model.yaml."""

from pydantic import Field

from components.schema import Section


class Retention(Section):
    """How long what a run leaves behind is kept; versions of the model store and data are never deleted."""

    days: int = Field(
        default=30,
        gt=0,
        description="days that results may be reused by later runs; they are deleted one to two times later",
    )
    runs: int = Field(default=20, gt=0, description="number of newest runs whose records and reports are kept")
