"""Between dense columns and instances: rows as a request brings them, field by field."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from components.errors import UserError
from components.features.columns import MISSING_INTEGER, ColumnType, Data, RawBatch
from components.features.rows import from_rows

BEYOND_FLOAT32 = 1e39
"""JSON has no infinity; a number that float32 cannot hold becomes one on the way into the dense form."""


def to_instances(raw: RawBatch, data: Data) -> list[dict[str, Any]]:
    """Dense columns to instances that JSON can hold, from which `from_rows` makes the same dense columns again.

    Missing fields are left out; timestamps become ISO 8601 text, images base64.

    Args:
        raw: dense columns of equal length.
        data: declares them.
    """
    columns = {name: _VALUES[data.columns[name].type](values) for name, values in raw.items()}
    rows = zip(*columns.values())
    return [{name: value for name, value in zip(columns, row) if value is not None} for row in rows]


def fitting(
    instances: Sequence[Mapping[str, Any]], data: Data, names: Sequence[str]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Divides instances into those that fit the declared columns, and the reasons why the others do not.

    Args:
        instances: rows as requests brought them, maybe to a model with other columns.
        data: declares the columns.
        names: those that are read.
    """
    try:
        from_rows(instances, data, names)
    except UserError as error:
        if len(instances) == 1:
            return [], [str(error).removeprefix("row 0: ")]
    else:
        return list(instances), []
    half = len(instances) // 2
    (good, bad), (more_good, more_bad) = (fitting(part, data, names) for part in (instances[:half], instances[half:]))
    return good + more_good, bad + more_bad


def _strings(values: np.ndarray) -> list[str | None]:
    return [value or None for value in values.tolist()]


def _integers(values: np.ndarray) -> list[int | None]:
    return [None if value == MISSING_INTEGER else value for value in values.tolist()]


def _floats(values: np.ndarray) -> list[float | None]:
    finite = np.nan_to_num(values.astype(np.float64), nan=np.nan, posinf=BEYOND_FLOAT32, neginf=-BEYOND_FLOAT32)
    return [None if value != value else value for value in finite.tolist()]


def _booleans(values: np.ndarray) -> list[bool | None]:
    return [None if value == MISSING_INTEGER else bool(value) for value in values.tolist()]


def _timestamps(values: np.ndarray) -> list[str | None]:
    missing = values == MISSING_INTEGER
    texts = np.datetime_as_string(np.where(missing, 0, values).astype("datetime64[s]"))
    return [None if gone else text for gone, text in zip(missing.tolist(), texts.tolist())]


def _images(values: np.ndarray) -> list[str | None]:
    return [base64.b64encode(value).decode() if value else None for value in values.tolist()]


_VALUES: dict[ColumnType, Callable[[np.ndarray], list[Any]]] = {
    "string": _strings,
    "integer": _integers,
    "float": _floats,
    "boolean": _booleans,
    "timestamp": _timestamps,
    "image": _images,
}
