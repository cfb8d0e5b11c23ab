"""What evaluate found, ready to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.artifacts import Record
from components.report import fields
from components.report.steps import details


@dataclass(frozen=True)
class Variant:
    """One variant as evaluate measured it; None where a figure is missing."""

    recipe: str
    size: float | None
    quality: float | None
    p50_us: float | None
    p99_us: float | None
    rows_per_s: float | None
    passed: bool
    failures: tuple[str, ...]
    metrics: dict[str, float]


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
    )


def _variant(row: dict[str, Any], metric: str) -> Variant:
    metrics = fields.counts(row, "metrics")
    return Variant(
        recipe=fields.text(row, "recipe") or "unnamed",
        size=fields.number(row, "bytes"),
        quality=metrics.get(metric),
        p50_us=fields.number(row, "latency_p50_us"),
        p99_us=fields.number(row, "latency_p99_us"),
        rows_per_s=fields.number(row, "rows_per_s"),
        passed=row.get("passed") is True,
        failures=tuple(fields.names(row, "failures")),
        metrics=metrics,
    )
