"""Reads Parquet. A declared column may have any type that its values can be read from without guessing."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from components.errors import UserError
from components.features.columns import Column, ColumnType, Data
from components.ingest.block import Block
from components.ingest.header import check_names

BATCH_ROWS = 65_536


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_string_view))


def _is_binary(kind: pa.DataType) -> bool:
    return types.is_binary(kind) or types.is_large_binary(kind)


def _is_number(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (types.is_integer, types.is_floating, types.is_decimal))


def _is_time(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (types.is_timestamp, types.is_date, _is_text))


READABLE: dict[ColumnType, tuple[Callable[[pa.DataType], bool], str]] = {
    "string": (lambda kind: _is_text(kind) or _is_binary(kind), "text"),
    "integer": (_is_number, "an integer, decimal or floating-point type"),
    "float": (_is_number, "an integer, decimal or floating-point type"),
    "boolean": (lambda kind: types.is_boolean(kind) or types.is_integer(kind), "boolean, or an integer of 0 and 1"),
    "timestamp": (_is_time, "a timestamp, a date, or ISO 8601 text"),
    "image": (lambda kind: _is_binary(kind) or _is_text(kind), "binary, or text in base64"),
}
"""For each declared type, the Arrow types it can be read from, and their names."""


class ParquetReader:
    """The rows of a Parquet file; lines are row numbers from 1."""

    def __init__(self, path: Path, data: Data) -> None:
        """Checks the schema.

        Raises:
            UserError: the file is cut off or no Parquet, repeats a name, or lacks a declared column or has it in a type
                that cannot be read as declared.
        """
        self.path = path
        self.names = list(data.columns)
        self._batch_rows = data.rows_at_once(BATCH_ROWS)
        with _sound(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            schema = self._file.schema_arrow
        self.ignored = check_names(schema.names, self.names, path)
        for name, column in data.columns.items():
            _check_type(path, name, column, schema.field(name).type)

    def blocks(self) -> Iterator[Block]:
        """Yields the rows in order.

        Raises:
            UserError: a page of the file is corrupt.
        """
        first = 1
        batches = self._file.iter_batches(self._batch_rows, columns=self.names)
        while True:
            with _sound(self.path):
                cells = next(batches, None)
            if cells is None:
                return
            yield Block(cells, np.arange(first, first + cells.num_rows))
            first += cells.num_rows


@contextlib.contextmanager
def _sound(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is cut off or no valid Parquet ({reason}); deliver the file again") from None


def _check_type(path: Path, name: str, column: Column, found: pa.DataType) -> None:
    plain = found.value_type if types.is_dictionary(found) else found
    readable, allowed = READABLE[column.type]
    if not types.is_null(plain) and not readable(plain):
        raise UserError(
            f"{path}: column {name} is declared {column.type} but has type {found}; it must be {allowed}: change its "
            f"declaration or the file"
        )
