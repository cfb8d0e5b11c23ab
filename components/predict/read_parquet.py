"""Parquet files of rows to predict, in units of whole row groups."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from components.errors import UserError
from components.predict.inputs import REMOTE, open_input
from components.predict.rows import Cells, Wanted
from components.predict.units import Unit

BATCH_ROWS = 131_072
"""Rows in memory at once; the more, the rarer is each distinct value looked up."""


def schema(path: str) -> pa.Schema:
    """The columns of a file.

    Raises:
        UserError: the file is cut off or no Parquet.
    """
    with _sound(path), _open(path) as file:
        return file.schema_arrow


def units(path: str, most_rows: int) -> list[Unit]:
    """A file's row groups in units of `most_rows` rows, or of one row group where that is larger; one unit at least.

    Raises:
        UserError: the file is cut off or no Parquet.
    """
    with _sound(path), _open(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    found: list[Unit] = []
    start, rows, first = 0, 0, 1
    for group, size in enumerate(sizes):
        if rows and rows + size > most_rows:
            found.append(Unit(path, start, group, first, rows))
            start, rows, first = group, 0, first + rows
        rows += size
    return [*found, Unit(path, start, len(sizes), first, rows)]


def read(unit: Unit, wanted: Wanted) -> Iterator[Cells]:
    """Yields the rows of a unit in order.

    Raises:
        UserError: a page of the file is corrupt.
    """
    first = unit.first_line
    with _sound(unit.path), _open(unit.path, _texts(unit.path, wanted)) as file:
        names = [name for name in wanted.names if name in file.schema_arrow.names]
        groups = list(range(unit.start, unit.stop))
        most = wanted.data.rows_at_once(BATCH_ROWS)
        batches = file.iter_batches(most, row_groups=groups, columns=names, use_threads=False)
        for table in _together(batches, most):
            columns = {name: _whole(table.column(name)) for name in names}
            yield Cells(columns, np.arange(first, first + table.num_rows))
            first += table.num_rows


def _together(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Batches of small row groups put together, up to `most` rows or a batch more."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= most:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _whole(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.unify_dictionaries().combine_chunks()


def _texts(path: str, wanted: Wanted) -> list[str]:
    """The columns of text that the model reads: their distinct values are all that is looked at."""
    found = schema(path)
    return [name for name in wanted.features if name in found.names and types.is_string(found.field(name).type)]


@contextlib.contextmanager
def _open(path: str, texts: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    source = open_input(path) if REMOTE in path else path
    with pq.ParquetFile(source, read_dictionary=list(texts), page_checksum_verification=True) as file:
        yield file


@contextlib.contextmanager
def _sound(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is cut off or no valid Parquet ({reason}); deliver the file again") from None
