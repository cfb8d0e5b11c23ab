"""A row that a model could be asked about: for warming up, for measurements, and for the first try with curl."""

import base64
import math
from datetime import datetime, timezone

import numpy as np

from components.features import png
from components.features.category import Category
from components.features.columns import Column
from components.features.declaration import Moments, Vocabulary
from components.features.numeric import Numeric
from components.features.transform import Transform

JsonValue = str | int | float | bool
NOON = "2024-01-15T12:00:00"


def example(transform: Transform, time_s: int | None = None) -> dict[str, JsonValue]:
    """An instance made of what the transform learned: the most frequent categories, the mean numbers.

    Args:
        transform: declares the columns.
        time_s: seconds since 1970 for the timestamps; None: some noon.
    """
    noon = NOON if time_s is None else f"{datetime.fromtimestamp(time_s, timezone.utc).date()}T12:00:00"
    columns = {name: transform.data.columns[name] for name in transform.source_columns}
    return {
        name: _image(transform.image_shape)
        if column.type == "image"
        else _value(column, _learned(transform, name), noon)
        for name, column in columns.items()
    }


def _image(shape: tuple[int, ...]) -> str:
    """A grey image in base64."""
    return base64.b64encode(png.encode(np.full(shape, 128, np.uint8))).decode()


def _learned(transform: Transform, column: str) -> JsonValue | None:
    """What a feature knows about the values of a column."""
    for feature in transform.features:
        learned = transform.constants[feature.name]
        if isinstance(feature, Category) and feature.column == column and isinstance(learned, Vocabulary):
            return learned.tokens[0] if learned.tokens else None
        if isinstance(feature, Numeric) and feature.column == column and isinstance(learned, Moments):
            return math.copysign(math.expm1(abs(learned.mean)), learned.mean) if feature.log else learned.mean
    return None


def _value(column: Column, learned: JsonValue | None, noon: str) -> JsonValue:
    if column.type == "timestamp":
        return noon
    value = column.values[0] if column.values else learned
    if column.type == "boolean":
        return str(value).lower() in ("true", "1")
    if column.type == "string":
        return str(value) if value is not None else "some text"
    return _number(column, value)


def _number(column: Column, value: JsonValue | None) -> int | float:
    number = 1.0 if value is None else float(value)
    number = min(max(number, column.min if column.min is not None else number), _or(column.max, number))
    return round(number) if column.type == "integer" else round(number, 4)


def _or(limit: float | None, number: float) -> float:
    return number if limit is None else limit
