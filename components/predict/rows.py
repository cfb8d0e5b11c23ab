"""Rows as a file has them → rows in canonical types, and those that cannot be read, with the reason."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.features.arrow import ARROW_TYPES
from components.features.columns import MISSING_INTEGER, ColumnType, Data
from components.features.convert import NOT_READ, convert, refusals

MOST_BYTES = 3072
"""Of a cell, kept with a row that cannot be read."""
BAD_ROWS = 8192
"""Unreadable rows that are put into words at once; each takes one or two kilobytes until it is written."""
BAD_SCHEMA = pa.schema([("source", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("row", pa.string())])


@dataclass(frozen=True)
class Wanted:
    """What is read of each row."""

    data: Data
    features: tuple[str, ...]
    """Columns that the model reads."""
    keys: tuple[str, ...]
    """Columns that the output repeats; those that are not declared stay as they are."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.keys, *self.features)))


@dataclass(frozen=True)
class Malformed:
    """A row that has no cells."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class Cells:
    """Consecutive rows in the types that the file has."""

    columns: dict[str, pa.Array]
    """Those of the wanted columns that the file has."""
    lines: np.ndarray
    """(rows,) int64: the rows' numbers in the file."""
    malformed: list[Malformed] = field(default_factory=list)
    """Rows that stand among these and are not in `columns`."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows, parted."""

    good: pa.Table
    """The wanted columns: declared ones in canonical types, or as dictionaries of strings; null where missing."""
    bad: Iterator[pa.Table]
    """The others in BAD_SCHEMA, in order, BAD_ROWS at a time."""


def part(cells: Cells, wanted: Wanted, path: str) -> Rows:
    """Parts readable rows from others: a row is bad where a cell is there that cannot be read as declared.

    As for a request, limits and `required` of a column do not matter: what was not seen in training is predicted too.

    Args:
        cells: the rows.
        wanted: what is read of them.
        path: the file.
    """
    columns, reasons = {}, []
    codes = np.zeros(len(cells.lines), np.int64)
    for name in wanted.names:
        columns[name], failures = _read(name, cells, wanted.data)
        for reason, failed in failures:
            if failed.true_count:
                reasons.append(f"{name} {reason}")
                codes[np.asarray(pc.fill_null(failed, False)) & (codes == 0)] = len(reasons)
    table = pa.table(columns)
    good = table.filter(pa.array(codes == 0)) if reasons else table
    return Rows(good, _bad(cells, codes, reasons, path))


def _read(name: str, cells: Cells, data: Data) -> tuple[pa.Array, list[tuple[str, pa.Array]]]:
    """A column in its canonical type, and for each reason to refuse a cell where it holds."""
    if name not in data.columns:
        return cells.columns[name], []
    kind = data.columns[name].type
    if name not in cells.columns:
        return pa.nulls(len(cells.lines), ARROW_TYPES[kind]), []
    values = cells.columns[name]
    coded = types.is_dictionary(values.type)
    read, unread = convert(_unchecked(values.dictionary if coded else values, kind), kind)
    failures = []
    if unread.true_count:
        failures.append((NOT_READ[kind], unread.take(values.indices) if coded else unread))
    if coded:
        text = kind == "string"
        read = pa.DictionaryArray.from_arrays(values.indices, read) if text else read.take(values.indices)
    if kind == "image":
        failures += refusals(read)
    if kind == "integer":
        failures.append((f"is {MISSING_INTEGER}, which stands for missing", pc.equal(read, MISSING_INTEGER)))
    return read, failures


def _unchecked(values: pa.Array, kind: ColumnType) -> pa.Array:
    """Text as bytes, which are checked when they are read as text: Parquet's are not when they are read from a file."""
    return values.cast(pa.binary()) if kind == "string" and _is_text(values.type) else values


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_string_view))


def _bad(cells: Cells, codes: np.ndarray, reasons: Sequence[str], path: str) -> Iterator[pa.Table]:
    places = np.flatnonzero(codes)
    lines = np.concatenate([cells.lines[places], [row.line for row in cells.malformed]])
    order = np.argsort(lines)
    for start in range(0, len(order), BAD_ROWS):
        chosen = order[start : start + BAD_ROWS]
        unread = _unread(cells, places[chosen[chosen < len(places)]], codes, reasons)
        malformed = (cells.malformed[place] for place in chosen[chosen >= len(places)] - len(places))
        rows = sorted([*unread, *((row.line, row.reason, _as_json({"text": row.text})) for row in malformed)])
        columns = [[path] * len(rows), *zip(*rows)]
        yield pa.table([pa.array(column, kind) for column, kind in zip(columns, BAD_SCHEMA.types)], schema=BAD_SCHEMA)


def _unread(
    cells: Cells, places: np.ndarray, codes: np.ndarray, reasons: Sequence[str]
) -> Iterator[tuple[int, str, str]]:
    """Line, reason and content of some rows."""
    texts = {name: _texts(values.take(pa.array(places))) for name, values in cells.columns.items()}
    for index, place in enumerate(places):
        row = {name: column[index] for name, column in texts.items()}
        yield int(cells.lines[place]), reasons[codes[place] - 1], _as_json(row)


def _texts(values: pa.Array) -> list[str | None]:
    """Cells as they would be written; bytes that are no text in base64, of which the beginning."""
    plain = values.dictionary_decode() if types.is_dictionary(values.type) else values
    try:
        content = (plain if _is_text(plain.type) else plain.cast(pa.string())).cast(pa.binary()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [None if value is None else _text(value) for value in plain.to_pylist()]
    return [None if value is None else value.decode("utf-8", "replace") for value in content]


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        text = base64.b64encode(value[:MOST_BYTES]).decode()
        return text if len(value) <= MOST_BYTES else f"{text}... ({len(value)} bytes)"


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)
