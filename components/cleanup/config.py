"""The section `retention` of model.yaml."""

from pydantic import Field

from components.schema import Section


class Retention(Section):
    """How long what runs leave behind is kept; what a model in service needs stays in any case."""

    days: int = Field(
        default=30,
        gt=0,
        le=3650,
        description="days that results may be reused by later runs; they are deleted one to two times later",
    )
    runs: int = Field(default=20, gt=0, description="number of newest runs whose records and reports are kept")
    versions: int = Field(
        default=5,
        gt=0,
        description="number of newest versions that are kept, beside those that a pointer or a pin names",
    )
    bytes: int | None = Field(
        default=None,
        gt=0,
        description="bytes that the model's data, versions, runs, outputs and request log may take together: what is "
        "kept only by number or days goes earlier then; null: no limit",
    )
    requests_days: int = Field(default=30, gt=0, le=3650, description="days that logged requests are kept")
    audit: bool = Field(default=True, description="whether the data that a kept version was trained on is kept")
    price_gb_month: float = Field(
        default=0.023, ge=0, description="price of 10^9 bytes for a month, for the money that cleaning up saves"
    )
