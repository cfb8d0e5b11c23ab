"""The section `preprocess` of model.yaml."""

from pydantic import Field, model_validator

from components.features.columns import Data
from components.features.declared import Features
from components.learning.config import Network, WideDeep
from components.preprocess.runners import Engine
from components.schema import Section

DAYS = {"validation_days": 14, "heldout_days": 28}
SHARES = {"validation_share": 0.1, "heldout_share": 0.1}
MOST_DAYS = 36_525


class Preprocess(Engine):
    """Which rows are trained on, validated on and held out, how examples are stored, and which engine does it."""

    validation_days: int | None = Field(
        None, ge=0, le=MOST_DAYS, description="days before the held-out ones to validate on; needs data.time; null: 14"
    )
    heldout_days: int | None = Field(
        None, ge=0, le=MOST_DAYS, description="last days, held out to judge the model on; needs data.time; null: 28"
    )
    validation_share: float | None = Field(
        None, ge=0, lt=1, description="share of the keys to validate on; without data.time only; null: 0.1"
    )
    heldout_share: float | None = Field(
        None, ge=0, lt=1, description="share of the keys held out; without data.time only; null: 0.1"
    )
    window_days: int | None = Field(
        None, ge=1, le=MOST_DAYS, description="days a cold start and the replay reach back; needs data.time; null: all"
    )
    replay_share: float = Field(
        0.1, ge=0, le=1, description="share of the older training rows that a warm start sees again"
    )
    max_constant_drift: float = Field(
        3,
        gt=0,
        le=1000,
        description="how far new rows may be from the constants that a warm start keeps; beyond, they are learned anew "
        "and training starts cold. In deviations of the base: how far a mean moved, or the logarithm of the ratio of "
        "old and new deviation; for buckets the shift that moves as many rows of a normal distribution over a bound. "
        "At 3 the usual new value is one that the base met once in a thousand rows",
    )
    rows_per_shard: int = Field(32_768, ge=1, le=10_000_000, description="rows in a TFRecord file, roughly")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the replay sample and of the order inside the shards")

    @model_validator(mode="after")
    def _check(self) -> "Preprocess":
        validation, heldout = self.shares
        if validation + heldout >= 1:
            raise ValueError(
                f"validation_share {validation} and heldout_share {heldout} leave nothing to train on; "
                "their sum must be below 1"
            )
        return self

    def without_engine(self) -> "Preprocess":
        """What the examples depend on: the same section, as the direct runner takes it."""
        return self.model_copy(update={name: field.default for name, field in Engine.model_fields.items()})

    @property
    def days(self) -> tuple[int, int]:
        """Validation and held-out days, with their defaults."""
        validation, heldout = (getattr(self, name) for name in DAYS)
        return (
            DAYS["validation_days"] if validation is None else validation,
            DAYS["heldout_days"] if heldout is None else heldout,
        )

    @property
    def shares(self) -> tuple[float, float]:
        """Validation and held-out share, with their defaults."""
        validation, heldout = (getattr(self, name) for name in SHARES)
        return (
            SHARES["validation_share"] if validation is None else validation,
            SHARES["heldout_share"] if heldout is None else heldout,
        )


class PreprocessConfig(Section):
    """Everything that preprocess reads."""

    data: Data
    features: Features
    network: Network = Field(default_factory=WideDeep)
    """Another network cannot start from the base's weights, and then needs all rows and not only the new ones."""
    preprocess: Preprocess = Field(default_factory=Preprocess)

    @model_validator(mode="after")
    def _check(self) -> "PreprocessConfig":
        check_preprocess(self.preprocess, self.data)
        return self

    @property
    def split(self) -> str:
        """What a split by hash depends on; "" for a split by time, which is made anew in every run."""
        if self.data.time is not None:
            return ""
        validation, heldout = self.preprocess.shares
        return f"{heldout} held out and {validation} to validate, by {', '.join(self.data.key) or 'the whole row'}"


def check_preprocess(preprocess: Preprocess, data: Data) -> None:
    """Refuses keys that have no meaning for the data: days without a time column, shares with one.

    Raises:
        ValueError: names the key and the one to use instead.
    """
    if data.time is None:
        for name in (*DAYS, "window_days"):
            if getattr(preprocess, name) is not None:
                raise ValueError(f"preprocess.{name} needs data.time, which is not set; name a timestamp column there")
        return
    for name, instead in zip(SHARES, DAYS):
        if getattr(preprocess, name) is not None:
            raise ValueError(f"preprocess.{name} is for data without data.time; use preprocess.{instead}")
