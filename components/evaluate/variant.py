"""What is known of one variant: what it costs, how good it is, and why it may not go into service."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from components.evaluate.bootstrap import Loss
from components.evaluate.latency import Speed


@dataclass(frozen=True)
class Size:
    """Bytes of one variant."""

    bytes: int
    """Of `model.tflite`."""
    compressed_bytes: int
    """Of `model.tflite` after gzip: what a transfer moves, and where zeros pay."""
    serving_bytes: int
    """Of the whole serving artifact, transform included."""
    memory_bytes: int | None
    """Resident memory that it adds to a process; None where it cannot be told."""


@dataclass(frozen=True)
class Making:
    """What compress says of a variant; None where it does not."""

    sparsity: float | None = None
    """Share of the weights that are zero."""
    parameters: int | None = None
    made: dict[str, Any] | None = None
    """{seconds, examples, cost}."""
    notes: list[str] = field(default_factory=list)
    """What the variant is not though its recipe says so."""


@dataclass(frozen=True)
class SliceLoss:
    """By how much a variant is worse than float32 where a column has one value."""

    column: str
    value: str
    rows: int
    lost: Loss


@dataclass
class Variant:
    """What was measured of one variant."""

    recipe: str
    size: Size
    speed: Speed
    cost_per_million: float
    """Of a million predictions in batches of 256, in the currency of `evaluate.core_hour`."""
    metrics: dict[str, float]
    """Empty where a prediction is not finite."""
    making: Making = field(default_factory=Making)
    loss: Loss | None = None
    """Against float32 on the same rows; None for float32 itself, and where there is none to compare with."""
    slice_losses: tuple[SliceLoss, ...] = ()
    failures: list[str] = field(default_factory=list)

    @property
    def worst_slice(self) -> SliceLoss | None:
        """The slice whose loss may be largest: that with the highest upper end, because that is what is judged."""
        return max(self.slice_losses, key=lambda part: part.lost.high, default=None)

    def row(self) -> dict[str, Any]:
        """The variant as `evaluation.json` holds it."""
        return {
            "recipe": self.recipe,
            **asdict(self.size),
            "metrics": self.metrics,
            **asdict(self.speed),
            "cost_per_million": self.cost_per_million,
            "loss": None if self.loss is None else asdict(self.loss),
            "worst_slice": _slice_row(self.worst_slice),
            **asdict(self.making),
            "failures": self.failures,
            "passed": not self.failures,
        }


@dataclass(frozen=True)
class NotMade:
    """A recipe that could not be carried out on this network: there is nothing to measure."""

    recipe: str
    error: str
    """Why, in one sentence, as compress says."""

    @property
    def failures(self) -> list[str]:
        """Why it may not go into service."""
        return [self.error]

    def row(self) -> dict[str, Any]:
        """The recipe as `evaluation.json` holds it: as `Variant.row`, all figures null."""
        names = (*(one.name for kind in (Size, Speed, Making) for one in fields(kind)), "cost_per_million")
        figures = dict.fromkeys((*names, "loss", "worst_slice"))
        return {"recipe": self.recipe, **figures, "metrics": {}, "failures": self.failures, "passed": False}


def _slice_row(part: SliceLoss | None) -> dict[str, Any] | None:
    if part is None:
        return None
    where = {"column": part.column, "value": part.value, "rows": part.rows}
    return {**where, "loss": part.lost.value, "low": part.lost.low, "high": part.lost.high}
