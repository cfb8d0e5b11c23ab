"""The section `validate` of model.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.features.columns import Data
from components.features.declared import Features
from components.schema import Section

Distance = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Validate(Section):
    """When a run retrains, and what stops it."""

    max_drift: Distance = Field(
        default=0.1, description="Jensen-Shannon divergence (base 2, 0 to 1) above which a column has drifted"
    )
    drift_limits: dict[str, Distance] = Field(
        default_factory=dict, description="limits of single columns, in place of max_drift"
    )
    max_missing: Share = Field(
        default=0.5,
        description="largest share of missing values in a column that a feature reads; more is an error, or a warning "
        "where it was so from the start",
    )
    missing_limits: dict[str, Share] = Field(
        default_factory=dict, description="limits of single columns, in place of max_missing"
    )
    max_unseen: Share = Field(
        default=0.1,
        description="largest share of new rows with a text that the version in service never saw, for each column",
    )
    min_new_rows: int = Field(default=1, gt=0, description="new labelled rows from which on a run retrains")
    min_requests: int = Field(
        default=300,
        ge=100,
        description="logged requests to the version in service from which on their drift is measured",
    )
    stop_on: Literal["error", "warning"] = Field(default="error", description="mildest anomaly that stops the run")


class ValidateConfig(Section):
    """What validate reads."""

    name: str
    data: Data
    features: Features
    # `validate` itself is a method of every pydantic model.
    validate_: Validate = Field(default_factory=Validate, alias="validate")

    @model_validator(mode="after")
    def _check(self) -> "ValidateConfig":
        for name in self.validate_.drift_limits:
            if name not in self.compared_columns:
                known = ", ".join(self.compared_columns)
                raise ValueError(f"validate.drift_limits names {name}; drift is measured in {known}")
        for name in self.validate_.missing_limits:
            if name not in self.read_columns:
                known = ", ".join(self.read_columns)
                raise ValueError(f"validate.missing_limits names {name}; features read {known}")
        return self

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns that a feature reads, in the order of the declared columns."""
        read = {column for feature in self.features for column in feature.source_columns}
        return tuple(name for name in self.data.columns if name in read)

    @property
    def compared_columns(self) -> tuple[str, ...]:
        """The columns in which drift is measured: those that a feature reads, and the label.

        Timestamps are left out, because they always move, and images, because no two are alike; so is a key that only
        names rows, which no feature reads.
        """
        return tuple(
            name
            for name, column in self.data.columns.items()
            if name == self.data.label or (name in self.read_columns and column.type not in ("timestamp", "image"))
        )

    def drift_limit(self, column: str) -> float:
        """The largest drift allowed in a column."""
        return self.validate_.drift_limits.get(column, self.validate_.max_drift)

    def missing_limit(self, column: str) -> float:
        """The largest share of missing values allowed in a column."""
        return self.validate_.missing_limits.get(column, self.validate_.max_missing)
