"""Rows as a request brings them → dense columns."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from components.errors import UserError
from components.features.columns import MISSING_INTEGER, ColumnType, Data, RawBatch

_EPOCH = datetime(1970, 1, 1)
_EXPECTED: dict[ColumnType, str] = {
    "string": "a string of valid Unicode",
    "integer": "a whole number of 64 bits",
    "float": "a number",
    "boolean": "true or false",
    "timestamp": "an ISO 8601 date and time without zone, such as 2013-01-31T17:05:00",
}


def from_rows(rows: Sequence[Mapping[str, Any]], data: Data, names: Sequence[str]) -> RawBatch:
    """Rows to dense columns; a field that is absent or None is missing.

    Args:
        rows: field name → str, int, float, bool, datetime or ISO 8601 text, as the column's type wants it. Fields that
            are declared but not among `names` are ignored.
        data: declares the fields.
        names: the columns wanted.

    Raises:
        UserError: names the row (from 0), the field, the value and the type expected; or the unknown field.
    """
    for index, row in enumerate(rows):
        if not row.keys() <= data.columns.keys():
            raise UserError(f"row {index}: {_unknown_field(row, data)}")
    return {name: _column(rows, name, data.columns[name].type) for name in names}


def _unknown_field(row: Mapping[str, Any], data: Data) -> str:
    field = next(field for field in row if field not in data.columns)
    close = difflib.get_close_matches(str(field), data.columns, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(data.columns)}"
    return f"{field} is not a field; {remedy}"


def _column(rows: Sequence[Mapping[str, Any]], name: str, kind: ColumnType) -> np.ndarray:
    convert, missing, dtype = _CONVERTERS[kind]
    values = [row.get(name) for row in rows]
    converted = [missing if value is None else convert(value) for value in values]
    if None in converted:
        index = converted.index(None)
        raise UserError(f"row {index}: {name} is {_shown(values[index])}; it must be {_EXPECTED[kind]}")
    with np.errstate(over="ignore"):
        return np.array(converted, dtype)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = ascii(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"{text} ({type(value).__name__})"


# Each converter gives None for a value that its type does not take.


def _string(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _integer(value: Any) -> int | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and MISSING_INTEGER < value < 2**63 else None


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _boolean(value: Any) -> int | None:
    return int(value) if isinstance(value, bool) else None


def _timestamp(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime) or value.tzinfo is not None:
        return None
    since = value - _EPOCH
    return since.days * 86_400 + since.seconds


_CONVERTERS: dict[ColumnType, tuple[Callable[[Any], Any], Any, Any]] = {
    "string": (_string, "", object),
    "integer": (_integer, MISSING_INTEGER, np.int64),
    "float": (_float, math.nan, np.float32),
    "boolean": (_boolean, MISSING_INTEGER, np.int64),
    "timestamp": (_timestamp, MISSING_INTEGER, np.int64),
}
