"""`numeric`: a number, clipped, on a log scale, and scaled or put into quantile buckets."""

from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np
from pydantic import Field, model_validator

from components.features.columns import MISSING_INTEGER, Data, RawBatch
from components.features.declaration import (
    MISSING_ID,
    Bounds,
    Feature,
    Learned,
    Learns,
    Moments,
    PlainForm,
    check_type,
    no_floats,
    no_ids,
)

FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
"""Nearer to zero than this, a float32 counts as zero: TensorFlow's threads flush such values, numpy does not."""
CONSTANT_SPREAD = 1e-9
"""A spread below this share of the values is rounding: the column is constant, and not scaled."""


class Numeric(Feature):
    """One float (two with `indicator`), or one id with `scale: buckets`.

    The value is clipped, then put on a log scale, then scaled. NaN and infinity count as missing.
    """

    kind: Literal["numeric"] = "numeric"
    column: str = Field(description="column to read: float, integer or boolean")
    clip: tuple[float, float] | None = Field(None, description="[lowest, highest] value kept, in the column's unit")
    log: bool = Field(False, description="whether x becomes sign(x) * log(1 + |x|)")
    scale: Literal["standardize", "min_max", "none", "buckets"] = Field(
        "standardize", description="to mean 0 and deviation 1, to 0..1, not at all, or to the id of a quantile bucket"
    )
    buckets: int | None = Field(None, ge=2, le=1000, description="number of quantile buckets, with scale buckets")
    missing: float | None = Field(
        None, description="value that stands for a missing one, in the column's unit; null: the mean (scale none: 0)"
    )
    indicator: bool = Field(False, description="whether a second float tells missing (1) from present (0)")

    @model_validator(mode="after")
    def _check(self) -> "Numeric":
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip is [{self.clip[0]}, {self.clip[1]}]; the first must be below the second")
        if self.scale != "buckets":
            if self.buckets is not None:
                raise ValueError(f"buckets needs scale buckets, not {self.scale}; remove it or change scale")
            return self
        if self.buckets is None:
            raise ValueError("scale buckets needs buckets, the number of them; add it")
        if self.log:
            raise ValueError("log changes nothing with scale buckets; remove it")
        if self.missing is not None or self.indicator:
            raise ValueError("scale buckets has an id of its own for missing; remove missing and indicator")
        return self

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def learns(self) -> Learns:
        """Moments to scale, bounds for buckets."""
        if self.scale == "buckets":
            return "bounds"
        return "nothing" if self.scale == "none" else "moments"

    @property
    def float_width(self) -> int:
        """The value and the indicator."""
        return 0 if self.scale == "buckets" else 1 + self.indicator

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:
        """Missing and the buckets: one more than there are bounds."""
        return (len(cast(Bounds, learned).bounds) + 2,) if self.scale == "buckets" else ()

    def check(self, data: Data) -> None:
        """Needs a column of numbers."""
        check_type(data, self.column, ("float", "integer", "boolean"))

    def plain(self, learned: Learned) -> PlainForm:
        """The feature in numpy."""
        if self.scale == "buckets":
            return partial(_bucket_ids, self, np.array(cast(Bounds, learned).bounds, np.float64))
        return partial(_floats, self, scaling(self, learned))


@dataclass(frozen=True)
class Scaling:
    """`(value - offset) / divisor`, kept within [low, high]; `fill` is the prepared value of a missing one."""

    offset: float
    divisor: float
    low: float
    high: float
    fill: float


def scaling(feature: Numeric, learned: Learned) -> Scaling:
    """How the prepared values of a feature are scaled."""
    fill = cast(Moments, learned).mean if feature.scale != "none" else 0.0
    if feature.missing is not None:
        fill = float(_clip_and_log(feature, np.array([feature.missing]))[0])
    if feature.scale == "none":
        return Scaling(0.0, 1.0, -FLOAT32_MAX, FLOAT32_MAX, fill)
    moments = cast(Moments, learned)
    if feature.scale == "min_max":
        divisor = _divisor(moments.max - moments.min, max(abs(moments.min), abs(moments.max)))
        return Scaling(moments.min, divisor, 0.0, 1.0, fill)
    return Scaling(moments.mean, _divisor(moments.std, abs(moments.mean)), -FLOAT32_MAX, FLOAT32_MAX, fill)


def _divisor(spread: float, size: float) -> float:
    return spread if spread > max(CONSTANT_SPREAD * size, FLOAT32_TINY) else 1.0


def _prepare(feature: Numeric, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (batch,) float64, clipped and on a log scale, 0 where missing; and whether they are missing."""
    missing = ~np.isfinite(values) if values.dtype.kind == "f" else values == MISSING_INTEGER
    wide = values.astype(np.float64)
    wide = np.where(missing | (np.abs(wide) < FLOAT32_TINY), 0, wide)
    return _clip_and_log(feature, wide), missing


def _clip_and_log(feature: Numeric, values: np.ndarray) -> np.ndarray:
    if feature.clip is not None:
        values = np.clip(values, *feature.clip)
    return np.sign(values) * np.log1p(np.abs(values)) if feature.log else values


def _bucket_ids(feature: Numeric, bounds: np.ndarray, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    values, missing = _prepare(feature, raw[feature.column])
    ids = np.where(missing, MISSING_ID, 1 + np.searchsorted(bounds, values, side="right"))
    return no_floats(len(ids)), ids.astype(np.int32)[:, None]


def _floats(feature: Numeric, scale: Scaling, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    values, missing = _prepare(feature, raw[feature.column])
    with np.errstate(over="ignore"):
        scaled = (np.where(missing, scale.fill, values) - scale.offset) / scale.divisor
    floats = [np.clip(scaled, scale.low, scale.high)]
    if feature.indicator:
        floats.append(missing)
    return np.stack(floats, axis=1).astype(np.float32), no_ids(len(values))
