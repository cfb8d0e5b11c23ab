"""What evaluate found, ready to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.artifacts import Record
from components.report import fields
from components.report.steps import details

REFERENCE = "float32"
"""The recipe that all others are held against."""


@dataclass(frozen=True)
class Loss:
    """By how much a variant is worse than the reference on the same rows, with its 95 % interval; below 0 it is better.

    A difference where higher is better, a share of the reference's value for errors.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WorstSlice:
    """The group of rows on which a variant loses most."""

    column: str
    value: str
    rows: float | None
    loss: Loss


@dataclass(frozen=True)
class Made:
    """What a recipe cost to make; the price is None where it has none."""

    seconds: float | None
    examples: float | None
    cost: float | None


@dataclass(frozen=True)
class Variant:
    """One variant as evaluate measured it; None where a figure is missing."""

    recipe: str = ""
    size: float | None = None
    """Bytes of the model's file."""
    compressed: float | None = None
    """Bytes of the same file after gzip."""
    memory: float | None = None
    """Resident bytes that the variant adds to a process."""
    quality: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    rows_per_s: float | None = None
    cost: float | None = None
    """Of a million predictions of one row each."""
    loss: Loss | None = None
    worst: WorstSlice | None = None
    sparsity: float | None = None
    """Share of the weights that are zero."""
    parameters: float | None = None
    made: Made | None = None
    passed: bool = False
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What it is not though its recipe says so."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Quality:
    """What evaluate found, ready to be shown."""

    metric: str
    higher_is_better: bool
    chosen: Variant | None
    """The variant that was chosen; None where all were refused."""
    variants: tuple[Variant, ...]
    constant: float | None
    """The metric of the best constant prediction."""
    serving_version: str
    serving_metrics: dict[str, float]
    limits: dict[str, float]
    """What a variant may cost at most, by the key of `evaluate.limits`; those that are not set are left out."""
    objective: str

    @property
    def best(self) -> Variant | None:
        """The variant with the best metric: what is shown where none was chosen."""
        measured = [variant for variant in self.variants if variant.quality is not None]
        sign = 1 if self.higher_is_better else -1
        return max(measured, key=lambda variant: sign * (variant.quality or 0.0), default=None)

    @property
    def serving(self) -> float | None:
        """The metric of the version in service on the same rows."""
        return self.serving_metrics.get(self.metric)

    @property
    def reference(self) -> float | None:
        """The metric of the float32 variant."""
        return next((variant.quality for variant in self.variants if variant.recipe == REFERENCE), None)

    def after_loss(self, loss: float | None) -> float | None:
        """The metric of a variant that loses so much against float32; None where there is no float32."""
        if loss is None or self.reference is None:
            return None
        return fields.finite(self.reference - loss if self.higher_is_better else self.reference * (1 + loss))


def quality(records: Mapping[str, Record]) -> Quality:
    """Reads evaluate's details."""
    found = details(records, "evaluate")
    metric = fields.text(found, "metric")
    variants = tuple(_variant(row, metric) for row in fields.rows(found, "variants"))
    chosen = fields.text(found, "chosen")
    serving = fields.table(found, "serving")
    return Quality(
        metric=metric,
        higher_is_better=found.get("higher_is_better") is not False,
        chosen=next((variant for variant in variants if chosen and variant.recipe == chosen), None),
        variants=variants,
        constant=fields.number(found, "constant"),
        serving_version=fields.text(serving, "version"),
        serving_metrics=fields.counts(serving, "metrics"),
        limits=fields.counts(found, "limits"),
        objective=fields.text(found, "objective"),
    )


def _variant(row: dict[str, Any], metric: str) -> Variant:
    metrics = fields.counts(row, "metrics")
    return Variant(
        recipe=fields.text(row, "recipe") or "unnamed",
        size=fields.number(row, "bytes"),
        compressed=fields.number(row, "compressed_bytes"),
        memory=fields.number(row, "memory_bytes"),
        quality=metrics.get(metric),
        p50_us=fields.number(row, "latency_p50_us"),
        p99_us=fields.number(row, "latency_p99_us"),
        rows_per_s=fields.number(row, "rows_per_s"),
        cost=fields.number(row, "cost_per_million"),
        loss=_loss(fields.table(row, "loss"), "value"),
        worst=_worst(fields.table(row, "worst_slice")),
        sparsity=fields.number(row, "sparsity"),
        parameters=fields.number(row, "parameters"),
        made=_made(fields.table(row, "made")),
        passed=row.get("passed") is True,
        failures=tuple(fields.names(row, "failures")),
        notes=tuple(fields.names(row, "notes")),
        metrics=metrics,
    )


def _loss(found: dict[str, Any], key: str) -> Loss | None:
    value = fields.number(found, key)
    return None if value is None else Loss(value, fields.number(found, "low"), fields.number(found, "high"))


def _worst(found: dict[str, Any]) -> WorstSlice | None:
    loss = _loss(found, "loss")
    if loss is None:
        return None
    return WorstSlice(fields.text(found, "column"), fields.text(found, "value"), fields.number(found, "rows"), loss)


def _made(found: dict[str, Any]) -> Made | None:
    made = Made(*(fields.number(found, key) for key in ("seconds", "examples", "cost")))
    return made if made.seconds is not None or made.examples is not None else None
