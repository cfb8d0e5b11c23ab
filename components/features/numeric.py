"""`numeric`: a number, clipped, on a log scale, and scaled or put into quantile buckets."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Literal, cast

import numpy as np
from pydantic import Field, model_validator

from components.features.columns import MISSING_INTEGER, Data, RawBatch
from components.features.declaration import (
    MISSING_ID,
    REMEMBERED,
    Bounds,
    Feature,
    Learned,
    Learns,
    Moments,
    PlainForm,
    ValueId,
    check_type,
    no_floats,
)
from components.features.numbers import FLOAT32_MAX, FLOAT32_TINY, Number, Scaling, clip_and_log, plain_number

CONSTANT_SPREAD = 1e-9
"""A spread below this share of the values is rounding: the column is constant, and not scaled."""
SMALLEST_SPREAD = 1e-30
"""Below this too: scaling would show whether values below FLOAT32_TINY are flushed to zero, as TensorFlow does."""


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
        number = self.number(learned)
        if number is None:
            return partial(_bucket_ids, self, np.array(cast(Bounds, learned).bounds, np.float64))
        return plain_number(number)

    def number(self, learned: Learned) -> Number | None:
        """The feature's float; none with buckets."""
        if self.scale == "buckets":
            return None
        return Number(self.column, self.clip, self.log, scaling(self, learned), self.indicator)

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:
        """The bucket's id; none without buckets."""
        if self.scale != "buckets":
            return ()
        bounds = cast(Bounds, learned).bounds
        is_float32 = data.columns[self.column].type == "float"
        return (lru_cache(REMEMBERED)(partial(_bucket_id, self, bounds, is_float32)),)


def scaling(feature: Numeric, learned: Learned) -> Scaling:
    """How the prepared values of a feature are scaled."""
    fill = cast(Moments, learned).mean if feature.scale != "none" else 0.0
    if feature.missing is not None:
        fill = float(clip_and_log(np.array([feature.missing]), feature.clip, feature.log)[0])
    if feature.scale == "none":
        return Scaling(0.0, 1.0, -FLOAT32_MAX, FLOAT32_MAX, fill)
    moments = cast(Moments, learned)
    if feature.scale == "min_max":
        divisor = _divisor(moments.max - moments.min, max(abs(moments.min), abs(moments.max)))
        return Scaling(moments.min, divisor, 0.0, 1.0, fill)
    return Scaling(moments.mean, _divisor(moments.std, abs(moments.mean)), -FLOAT32_MAX, FLOAT32_MAX, fill)


def _divisor(spread: float, size: float) -> float:
    return spread if spread > max(CONSTANT_SPREAD * size, SMALLEST_SPREAD) else 1.0


def _bucket_ids(feature: Numeric, bounds: np.ndarray, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    values = raw[feature.column]
    missing = ~np.isfinite(values) if values.dtype.kind == "f" else values == MISSING_INTEGER
    wide = values.astype(np.float64)
    wide = clip_and_log(np.where(missing | (np.abs(wide) < FLOAT32_TINY), 0, wide), feature.clip, log=False)
    ids = np.where(missing, MISSING_ID, 1 + np.searchsorted(bounds, wide, side="right"))
    return no_floats(len(ids)), ids.astype(np.int32)[:, None]


def _bucket_id(feature: Numeric, bounds: Sequence[float], is_float32: bool, value: float | None) -> int:
    number = math.nan if value is None else array("f", (value,))[0] if is_float32 else float(value)
    if not math.isfinite(number):
        return MISSING_ID
    low, high = feature.clip or (-math.inf, math.inf)
    return 1 + bisect_right(bounds, min(max(0.0 if abs(number) < FLOAT32_TINY else number, low), high))
