"""`datetime`: parts of a timestamp, as points on a circle or as ids."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from components.features.columns import MISSING_INTEGER, Data, RawBatch
from components.features.declaration import (
    MISSING_ID,
    REMEMBERED,
    Feature,
    Learned,
    PlainForm,
    ValueId,
    check_type,
    no_floats,
    no_ids,
)

Part = Literal["minute_of_day", "hour", "weekday", "month", "day_of_month", "day_of_year"]
SIZES: dict[Part, int] = {
    "minute_of_day": 1440,
    "hour": 24,
    "weekday": 7,
    "month": 12,
    "day_of_month": 31,
    "day_of_year": 366,
}
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1)


class Datetime(Feature):
    """For each part two floats, sine and cosine (0, 0 where missing), or one id (0 where missing).

    The circle of a part has as many steps as the part has values. Weeks start on Monday.
    """

    kind: Literal["datetime"] = "datetime"
    column: str = Field(description="column to read: timestamp")
    parts: tuple[Part, ...] = Field(min_length=1, description=f"parts to take: {', '.join(SIZES)}")
    encode: Literal["cyclic", "category"] = Field("cyclic", description="sine and cosine, or an id")

    @model_validator(mode="after")
    def _check(self) -> "Datetime":
        for part in self.parts:
            if self.parts.count(part) > 1:
                raise ValueError(f"parts names {part} more than once; name different parts")
        return self

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def float_width(self) -> int:
        """Sine and cosine of each part."""
        return 2 * len(self.parts) if self.encode == "cyclic" else 0

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:  # noqa: ARG002
        """For each part missing and its values."""
        return tuple(1 + SIZES[part] for part in self.parts) if self.encode == "category" else ()

    def check(self, data: Data) -> None:
        """Needs a timestamp."""
        check_type(data, self.column, ("timestamp",))

    def plain(self, learned: Learned) -> PlainForm:  # noqa: ARG002
        """The feature in numpy."""
        if self.encode == "category":
            return partial(_categories, self)
        return partial(_circles, self, [circle(part) for part in self.parts])

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:  # noqa: ARG002
        """The id of each part, with `encode: category`."""
        return self.part_ids() if self.encode == "category" else ()

    def dense_part_ids(self, seconds: np.ndarray) -> np.ndarray:
        """The ids of the parts, shape (parts, batch) int32."""
        return np.stack([_ids(part, seconds) for part in self.parts])

    def part_ids(self) -> tuple[ValueId, ...]:
        """The id of each part from a time; the times met last are remembered."""
        return tuple(lru_cache(REMEMBERED)(partial(_id, part)) for part in self.parts)


def _id(part: Part, moment: datetime | None) -> int:
    return MISSING_ID if moment is None else 1 + int(index(part, seconds(moment)))


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970 of a time without zone."""
    since = moment - _EPOCH
    return since.days * _DAY_S + since.seconds


def _ids(part: Part, seconds: np.ndarray) -> np.ndarray:
    return np.where(seconds == MISSING_INTEGER, MISSING_ID, 1 + index(part, seconds)).astype(np.int32)


def _categories(feature: Datetime, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    seconds = raw[feature.column]
    return no_floats(len(seconds)), np.stack([_ids(part, seconds) for part in feature.parts], axis=1)


def _circles(feature: Datetime, tables: Sequence[np.ndarray], raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    seconds = raw[feature.column]
    floats = [table[_ids(part, seconds)] for part, table in zip(feature.parts, tables)]
    return np.concatenate(floats, axis=1), no_ids(len(seconds))


def circle(part: Part) -> np.ndarray:
    """Sine and cosine by id, shape (1 + size, 2) float32, with 0, 0 for missing: looked up, so that all forms agree."""
    angles = [2 * math.pi * step / SIZES[part] for step in range(SIZES[part])]
    return np.array([(0.0, 0.0), *((math.sin(angle), math.cos(angle)) for angle in angles)], np.float32)


def index(part: Part, seconds: Any) -> Any:
    """The part of a time, counted from 0: whole numbers only, so that numpy arrays and tensors give the same.

    Args:
        part: which part.
        seconds: int64 array or tensor, seconds since 1970-01-01T00:00, of any sign and size.
    """
    return _INDEX[part](seconds)


def _march_year(seconds: Any) -> tuple[Any, Any]:
    """Year (0 to 399 in its era of 400 years) and day in it (from 0), for years that begin in March.

    From `civil_from_days` in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    https://howardhinnant.github.io/date_algorithms.html
    """
    day = (seconds // _DAY_S + 719_468) % 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    return year, day - (365 * year + year // 4 - year // 100)


def _march_month(day_of_year: Any) -> Any:
    return (5 * day_of_year + 2) // 153


def _month(seconds: Any) -> Any:
    _, day = _march_year(seconds)
    return (_march_month(day) + 2) % 12


def _day_of_month(seconds: Any) -> Any:
    _, day = _march_year(seconds)
    return day - (153 * _march_month(day) + 2) // 5


def _day_of_year(seconds: Any) -> Any:
    """Days since the first of January, which is day 306 of the March year that began the year before."""
    year, day = _march_year(seconds)
    leap = _leap_years_to(year) - _leap_years_to(year - 1)
    is_next_year = _march_month(day) // 10
    return is_next_year * (day - 306) + (1 - is_next_year) * (day + 59 + leap)


def _leap_years_to(year: Any) -> Any:
    return year // 4 - year // 100 + year // 400


_INDEX: dict[Part, Callable[[Any], Any]] = {
    "minute_of_day": lambda seconds: seconds % _DAY_S // 60,
    "hour": lambda seconds: seconds % _DAY_S // 3_600,
    "weekday": lambda seconds: (seconds // _DAY_S + 3) % 7,
    "month": _month,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
}
