"""Checks rows against the declared columns: the good ones in canonical types, the others with the reason."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.features.arrow import ARROW_TYPES, arrow_schema
from components.features.columns import MISSING_INTEGER, Column, Data
from components.features.convert import NOT_READ, convert, refusals
from components.ingest.block import Block

REJECTED_SCHEMA = pa.schema([("line", pa.int64()), ("reason", pa.string()), ("row", pa.string())])
YEAR_1_US, YEAR_10000_US = -62_135_596_800_000_000, 253_402_300_800_000_000
"""Microseconds since 1970; Python's dates, and four digits, end there."""
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Checked:
    """A block's rows, parted."""

    good: pa.RecordBatch
    """In `arrow_schema(data)`."""
    rejected: pa.RecordBatch
    """In `REJECTED_SCHEMA`: line, the first reason found, and the row's cells as JSON."""


def check(block: Block, data: Data) -> Checked:
    """Parts the rows of a block into good and bad ones.

    A row is bad where a cell cannot be read as declared, lies outside min and max, is none of the values allowed, is
    missing though required (the time column always is), is a number beyond float32's range or an image that is no PNG,
    damaged or too large, or is a label of no class.
    A missing label is not bad.
    """
    reasons: list[str] = []
    codes = np.zeros(block.cells.num_rows, np.int64)
    columns = []
    for name, column in data.columns.items():
        values, unread = convert(block.cells.column(name), column.type)
        columns.append(values)
        for reason, failed in [(NOT_READ[column.type], unread), *_failures(values, name, column, data)]:
            mask = pc.fill_null(failed, False).to_numpy(zero_copy_only=False)
            if mask.any():
                reasons.append(f"{name} {reason}")
                codes[mask & (codes == 0)] = len(reasons)
    good = pa.RecordBatch.from_arrays(columns, schema=arrow_schema(data))
    return Checked(good.filter(pa.array(codes == 0)) if reasons else good, _rejected(block, codes, reasons))


def _failures(values: pa.Array, name: str, column: Column, data: Data) -> Iterator[tuple[str, pa.Array]]:
    """What a readable cell can have wrong: the reason, and where it holds; null counts as no."""
    if column.required or name == data.time:
        yield "is missing", values.is_null()
    if column.type == "image":
        yield from refusals(values)
    if column.type == "float":
        yield "is beyond the range of float32", pc.greater(pc.abs(values), FLOAT32_MAX)
    if column.type == "integer":
        yield f"is {MISSING_INTEGER}, which stands for missing", pc.equal(values, MISSING_INTEGER)
    if column.type == "timestamp":
        microseconds = values.cast(pa.int64())
        yield (
            "is before year 1 or after year 9999",
            pc.or_(pc.less(microseconds, YEAR_1_US), pc.greater_equal(microseconds, YEAR_10000_US)),
        )
    if column.min is not None:
        yield f"is below {column.min:g}", pc.less(_as_floats(values), column.min)
    if column.max is not None:
        yield f"is above {column.max:g}", pc.greater(_as_floats(values), column.max)
    if column.values is not None:
        yield "is none of the values allowed", _is_none_of(values, column.values, column)
    if name == data.label and data.label_classes:
        yield "is none of the classes", _is_none_of(values, data.label_classes, column)


def _as_floats(values: pa.Array) -> pa.Array:
    """Limits are floats, and Arrow compares no integer beyond 2**53 with a float."""
    return values.cast(pa.float64(), safe=False)


def _is_none_of(values: pa.Array, allowed: tuple[Any, ...], column: Column) -> pa.Array:
    known = pa.array(allowed, ARROW_TYPES[column.type])
    return pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=known)))


def _rejected(block: Block, codes: np.ndarray, reasons: list[str]) -> pa.RecordBatch:
    places = np.flatnonzero(codes)
    texts = [_as_json(row) for row in _with_times_as_text(block.cells, places).to_pylist()] if len(places) else []
    rows = list(zip(block.lines[places].tolist(), [reasons[code - 1] for code in codes[places]], texts))
    rows += [(bad.line, bad.reason, _as_json({"text": bad.text})) for bad in block.malformed]
    columns = list(zip(*sorted(rows))) or [(), (), ()]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, REJECTED_SCHEMA.types)]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTED_SCHEMA)


def _with_times_as_text(cells: pa.RecordBatch, places: np.ndarray) -> pa.Table:
    """The rows at `places`, with times that Python's own types need not be able to hold."""
    rows = pa.Table.from_batches([cells]).take(pa.array(places))
    for index, field in enumerate(rows.schema):
        if types.is_timestamp(field.type):
            local = rows.column(index).cast(pa.timestamp(field.type.unit))
            rows = rows.set_column(index, field.name, local.cast(pa.string()))
    return rows


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in row.items()}, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """A value that JSON has: bytes as text, or as base64 where they are none; NaN and infinity by name."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
