"""Rows as a request brings them → checked values, and dense columns. This defines what a request may hold."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from components.errors import UserError
from components.features.columns import MISSING_INTEGER, ColumnType, Data, RawBatch
from components.features.datetime import seconds
from components.features.png import decode_base64, refusal

_WRONG = object()
LONGEST_NAME = 80
"""Characters of a field's name that an error repeats."""
WHOLE_IMAGE = "send a whole PNG image in base64"
_EXPECTED: dict[ColumnType, str] = {
    "string": "a string of valid Unicode",
    "integer": "a whole number of 64 bits",
    "float": "a number",
    "boolean": "true or false",
    "timestamp": "an ISO 8601 date and time without zone, such as 2013-01-31T17:05:00",
    "image": "a PNG image in base64",
}


def from_rows(rows: Sequence[Mapping[str, Any]], data: Data, names: Sequence[str]) -> RawBatch:
    """Rows to dense columns; arguments and errors as `values_of`; and an image that cannot be read is an error too."""
    columns = values_of(rows, data, names)
    for name, column in zip(names, columns):
        if data.columns[name].type == "image":
            _refuse_unreadable(column, name)
    return {name: _dense(column, data.columns[name].type) for name, column in zip(names, columns)}


def values_of(rows: Sequence[Mapping[str, Any]], data: Data, names: Sequence[str]) -> list[list[Any]]:
    """Rows to columns of checked values; a field that is absent or None is missing, and None.

    Args:
        rows: field name → str, int, float, bool, datetime or ISO 8601 text, bytes or base64, as the column's type wants
            it. Fields that are declared but not among `names` are ignored.
        data: declares the fields.
        names: the columns wanted.

    Returns:
        For each of `names` the rows' values: str, int, float, bool, datetime or bytes, which need not be an image:
        that is told by whoever reads it, since it costs as much.

    Raises:
        UserError: names the row (from 0), the field, the value and the type expected; or the unknown field.
    """
    for index, row in enumerate(rows):
        if not row.keys() <= data.columns.keys():
            raise UserError(f"row {index}: {_unknown_field(row, data)}")
    return [_column([row.get(name) for row in rows], name, data.columns[name].type) for name in names]


def _unknown_field(row: Mapping[str, Any], data: Data) -> str:
    field = next(str(field)[:LONGEST_NAME] for field in row if field not in data.columns)
    close = difflib.get_close_matches(str(field), data.columns, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(data.columns)}"
    return f"{field} is not a field; {remedy}"


def _column(values: Sequence[Any], name: str, kind: ColumnType) -> list[Any]:
    convert = _CONVERTERS[kind]
    converted = [None if value is None else convert(value) for value in values]
    if _WRONG in converted:
        index = converted.index(_WRONG)
        raise UserError(f"row {index}: {name} is {_shown(values[index])}; it must be {_EXPECTED[kind]}")
    return converted


def _refuse_unreadable(images: Sequence[bytes | None], name: str) -> None:
    for index, content in enumerate(images):
        reason = refusal(content) if content is not None else None
        if reason is not None:
            raise UserError(f"row {index}: {name} {reason}; {WHOLE_IMAGE}")


def _dense(values: Sequence[Any], kind: ColumnType) -> np.ndarray:
    missing, dtype = _DENSE[kind]
    if kind == "timestamp":
        values = [value and seconds(value) for value in values]
    with np.errstate(over="ignore"):
        return np.array([missing if value is None else value for value in values], dtype)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = ascii(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"{text} ({type(value).__name__})"


# Each converter gives _WRONG for a value that its type does not take.


def _string(value: Any) -> Any:
    if not isinstance(value, str):
        return _WRONG
    try:
        value.encode()
    except UnicodeEncodeError:
        return _WRONG
    return value


def _integer(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():  # pandas makes floats of whole numbers with gaps
        value = int(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and MISSING_INTEGER < value < 2**63 else _WRONG


def _float(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _WRONG
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else _WRONG


def _timestamp(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = _parsed(value)
        except ValueError:
            return _WRONG
    if not isinstance(value, datetime) or value.tzinfo is not None:
        return _WRONG
    return value


def _image(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = decode_base64(value)
        except ValueError:
            return _WRONG
    return value or None if isinstance(value, bytes) else _WRONG


def _parsed(text: str) -> datetime:
    """RFC 3339 as the parser of requests reads it, and other forms of ISO 8601 as Python does."""
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return datetime.fromisoformat(text)


_CONVERTERS: dict[ColumnType, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "image": _image,
}
_DENSE: dict[ColumnType, tuple[Any, Any]] = {
    "string": ("", object),
    "integer": (MISSING_INTEGER, np.int64),
    "float": (math.nan, np.float32),
    "boolean": (MISSING_INTEGER, np.int64),
    "timestamp": (MISSING_INTEGER, np.int64),
    "image": (b"", object),
}
"""The missing value and the dtype of the dense form."""
