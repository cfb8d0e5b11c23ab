"""Reads the cells of a source as the declared type, and tells those that cannot be read.

Of images only the base64 that text holds them in is read here; whether they are images, `refusals` tells.

Whole columns are cast by Arrow. Only where a cast fails are its distinct values looked at, halved until the bad ones
stand alone, so that good rows never meet a Python loop.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.features.arrow import ARROW_TYPES
from components.features.columns import ColumnType
from components.features.png import decode_base64, refusal

NOT_READ: dict[ColumnType, str] = {
    "string": "is not UTF-8 text",
    "integer": "is not an integer of 64 bits",
    "float": "is not a number",
    "boolean": "is not true, false, 1 or 0",
    "timestamp": "is not an ISO 8601 time",
    "image": "is not base64",
}
"""What is said of a cell that cannot be read as the declared type."""

MICROSECONDS, NANOSECONDS = pa.timestamp("us"), pa.timestamp("ns")
Form = Callable[[pa.Array], pa.Array]
"""Reads a column in one way; raises ArrowInvalid where a cell is written otherwise."""


def convert(values: pa.Array, kind: ColumnType) -> tuple[pa.Array, pa.Array]:
    """A column in the canonical Arrow type of `kind`.

    Args:
        values: as the source has them, of a type that can be read as `kind`.
        kind: the declared type. Times with a zone become UTC without one; fractions of a microsecond are cut off.

    Returns:
        the column of shape (rows,), null where missing (as NaN and empty text are) or not readable; and a boolean
        column of shape (rows,), true where a cell is there but not readable.
    """
    plain = _with_nulls(_plain(values))
    read = _read(plain, kind)
    return _with_nulls(read), pc.and_(plain.is_valid(), read.is_null())


def refusals(images: pa.Array) -> list[tuple[str, pa.Array]]:
    """Why images are not read, and where each reason holds: boolean of shape (rows,).

    Args:
        images: binary, null where missing.
    """
    reasons = [None if content is None else refusal(content) for content in images.to_pylist()]
    found = np.array(reasons, object)
    return [(reason, pa.array(found == reason)) for reason in dict.fromkeys(reasons) if reason is not None]


def _plain(values: pa.Array) -> pa.Array:
    """Without dictionary, and in types that all of Arrow's functions know."""
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_large_string(values.type) or types.is_string_view(values.type):
        return values.cast(pa.string())
    if types.is_large_binary(values.type) or types.is_binary_view(values.type):
        return values.cast(pa.binary())
    return values.cast(pa.float64()) if types.is_float16(values.type) else values


def _with_nulls(values: pa.Array) -> pa.Array:
    """With null in place of NaN and of empty text."""
    if types.is_floating(values.type):
        missing = pc.is_nan(values)
    elif types.is_string(values.type) or types.is_binary(values.type):
        missing = pc.equal(pc.binary_length(values), 0)
    else:
        return values
    return pc.if_else(missing, None, values) if pc.any(missing).as_py() else values


def _read(values: pa.Array, kind: ColumnType) -> pa.Array:
    if values.type == ARROW_TYPES[kind]:
        return values
    if types.is_null(values.type):
        return values.cast(ARROW_TYPES[kind])
    forms = _forms(values.type, kind)
    try:
        return forms[0](values)
    except pa.ArrowInvalid:
        encoded = values.dictionary_encode()
        return _read_distinct(encoded.dictionary, forms).take(encoded.indices)


def _read_distinct(values: pa.Array, forms: list[Form]) -> pa.Array:
    read = _read_good(values, forms[0])
    for form in forms[1:]:
        rest = pc.if_else(read.is_valid(), None, values)
        read = pc.coalesce(read, _read_good(rest, form))
    return read


def _read_good(values: pa.Array, form: Form) -> pa.Array:
    """The values that `form` can read, null in place of the others."""
    try:
        return form(values)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return form(pa.nulls(1, values.type))
    half = len(values) // 2
    return pa.concat_arrays([_read_good(values[:half], form), _read_good(values[half:], form)])


def _forms(source: pa.DataType, kind: ColumnType) -> list[Form]:
    """The ways in which a cell of type `source` may be written, the usual one first."""
    if kind == "timestamp":
        return _TEXT_TIMES if types.is_string(source) else [_time]
    if kind == "integer" and types.is_string(source):
        return [_cast(pa.int64()), lambda values: values.cast(pa.float64()).cast(pa.int64())]
    if kind == "boolean" and types.is_integer(source):
        return [_zero_or_one]
    if kind == "image":
        return [_base64] if types.is_string(source) else [_cast(pa.binary())]
    # Integers beyond 2**53 lose digits as floats, which Arrow's safe cast would refuse.
    return [_cast(ARROW_TYPES[kind], safe=kind != "float" or types.is_string(source))]


def _cast(target: pa.DataType, safe: bool = True) -> Form:
    return lambda values: values.cast(target, safe=safe)


def _time(values: pa.Array) -> pa.Array:
    return values.cast(options=pc.CastOptions(MICROSECONDS, allow_time_truncate=True))


def _zoned(unit: str) -> Form:
    return lambda values: _time(values.cast(pa.timestamp(unit, "UTC")))


_TEXT_TIMES: list[Form] = [
    _cast(MICROSECONDS),
    _zoned("us"),
    lambda values: _time(values.cast(NANOSECONDS)),
    _zoned("ns"),
]


def _base64(values: pa.Array) -> pa.Array:
    try:
        contents = [None if text is None else decode_base64(text) for text in values.to_pylist()]
        return pa.array(contents, pa.binary())
    except ValueError:
        raise pa.ArrowInvalid("not base64") from None


def _zero_or_one(values: pa.Array) -> pa.Array:
    if pc.any(pc.or_(pc.less(values, 0), pc.greater(values, 1))).as_py():
        raise pa.ArrowInvalid("neither 0 nor 1")
    return values.cast(pa.bool_())
