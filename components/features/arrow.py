"""Raw columns in Arrow: their canonical types, and the way from there to the dense form.

Apart from `columns.py`, because the server reads no Arrow and should not load it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.features.columns import MISSING_INTEGER, ColumnType, Data, RawBatch

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "image": pa.binary(),
}


def arrow_schema(data: Data) -> pa.Schema:
    """The schema of a partition: every declared column, in the order of the declaration."""
    return pa.schema([(name, ARROW_TYPES[column.type]) for name, column in data.columns.items()])


def dense(table: pa.Table | pa.RecordBatch, data: Data, names: tuple[str, ...]) -> RawBatch:
    """The named columns of a canonical Arrow table in their dense form.

    Args:
        table: has the columns `names` in their canonical Arrow types.
        data: declares them.
        names: the columns wanted.
    """
    return {name: _dense_column(table.column(name), data.columns[name].type) for name in names}


def _dense_column(values: pa.ChunkedArray | pa.Array, kind: ColumnType) -> np.ndarray:
    if kind == "string":
        return np.asarray(pc.fill_null(values, ""), dtype=object)
    if kind == "image":
        return np.asarray(pc.fill_null(values, b""), dtype=object)
    if kind == "float":
        with np.errstate(over="ignore"):
            return np.asarray(pc.fill_null(values, float("nan"))).astype(np.float32)
    integers = np.asarray(pc.fill_null(values.cast(pa.int64()), MISSING_INTEGER))
    if kind == "timestamp":
        return np.where(integers == MISSING_INTEGER, MISSING_INTEGER, integers // 1_000_000)
    return integers
