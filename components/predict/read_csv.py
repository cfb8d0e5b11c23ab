"""CSV files of rows to predict, in units of whole rows: UTF-8, a header, commas, quotes as RFC 4180 has them."""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from components.errors import UserError
from components.predict.inputs import open_input, refused
from components.predict.rows import Cells, Malformed, Wanted
from components.predict.units import Unit

UNIT_BYTES = 16 << 20
HEADER_BYTES = 1 << 16
"""Enough for most headers; longer ones are read in more pieces."""
ROW_BYTES = 64 << 20
"""Rows beyond are refused: where a quote is not closed, the rest of the file would be one row."""
ENCODING = "utf-8-sig"
QUOTE, NEWLINE, RETURN = b'"\n\r'
WIDTH = "the row has another number of cells than the header"


def header(path: str) -> list[str]:
    """The columns of a file.

    Raises:
        UserError: there is no header, or it is not UTF-8.
    """
    with refused(path), open_input(path) as file:
        window, ends = _window(file, 0, HEADER_BYTES, path, 1)
    try:
        text = window[: ends[0]].decode(ENCODING)
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(path, error)) from None
    lines = list(csv.reader(io.StringIO(text, newline="")))
    if not lines or not any(lines[0]):
        raise UserError(f"{path} does not start with a header; its first line must name the columns")
    if len(lines) > 1:
        raise UserError(f"{path} has lines that end in a carriage return alone; end them by a line feed")
    return lines[0]


def units(path: str, unit_bytes: int = UNIT_BYTES) -> list[Unit]:
    """A file's rows in units of about `unit_bytes` that end where a row ends; one unit at least.

    Raises:
        UserError: a quote is opened that nothing closes.
    """
    found: list[Unit] = []
    with refused(path), open_input(path) as file:
        start, line = int(_window(file, 0, unit_bytes, path, 1)[1][0]), 2
        while True:
            window, ends = _window(file, start, unit_bytes, path, line)
            if not window:
                break
            found.append(Unit(path, start, start + int(ends[-1]), line, _count(window, ends)))
            start, line = found[-1].stop, line + found[-1].rows
    return found or [Unit(path, start, start, line, 0)]


def read(unit: Unit, wanted: Wanted) -> Iterator[Cells]:
    """Yields the rows of a unit, at once; every cell as text.

    Raises:
        UserError: the file is no CSV, or holds bytes that are not UTF-8.
    """
    names = header(unit.path)
    with refused(unit.path), open_input(unit.path) as file:
        file.seek(unit.start)
        content = file.read(unit.stop - unit.start)
    invalid: list[pa.csv.InvalidRow] = []
    cells = _parse(content, names, wanted, unit.path, invalid) if content else {}
    if not content:
        cells = {name: pa.array([], pa.string()) for name in wanted.names if name in names}
    malformed = [Malformed(unit.first_line + row.number - 1, WIDTH, row.text) for row in invalid]
    lines = np.setdiff1d(np.arange(unit.first_line, unit.first_line + unit.rows), [bad.line for bad in malformed])
    if any(len(column) != len(lines) for column in cells.values()):
        raise UserError(
            f"{unit.path} has quotes or line ends near line {unit.first_line} that can be read in two ways; quote "
            'cells that hold quotes, double the quotes within them (""), and end lines by a line feed'
        )
    yield Cells(cells, lines, malformed)


def _parse(
    content: bytes, names: list[str], wanted: Wanted, path: str, invalid: list[pa.csv.InvalidRow]
) -> dict[str, pa.Array]:
    """The wanted columns of some rows, as text; notes rows that have another number of cells."""

    def note(row: pa.csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    found = [name for name in wanted.names if name in names]
    # What the model reads has few distinct values, mostly; keys have many.
    coded, text = pa.dictionary(pa.int32(), pa.string()), pa.string()
    kinds = {name: coded if name in wanted.features else text for name in found}
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            pa.csv.ReadOptions(use_threads=False, block_size=len(content) + 1, column_names=names),
            pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            pa.csv.ConvertOptions(
                include_columns=found, column_types=kinds, null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError(_explained(path, content, error)) from None
    return {name: table.column(name).unify_dictionaries().combine_chunks() for name in found}


def _window(file: BinaryIO, start: int, size: int, path: str, line: int) -> tuple[bytes, np.ndarray]:
    """Bytes from `start` on, `size` of them or as many as the first row has, and where rows end among them.

    At the file's end the last row ends too, without a line feed. Nothing, and no ends, beyond it.
    """
    file.seek(start)
    window, ends, is_open, is_last = _first_ends(file, size)
    if len(ends) and not is_last:
        return window[: ends[-1]], ends
    if is_open:
        raise UserError(
            f"{path} has a double quote at or after line {line} that nothing closes; the file may be cut off, or "
            'quotes within cells must be doubled ("")'
        )
    if not is_last:
        raise UserError(f"{path} has a row at line {line} of more than {ROW_BYTES:,} bytes; end rows by a line feed")
    rest = [len(window)] if window and (not len(ends) or ends[-1] < len(window)) else []
    return window, np.append(ends, rest).astype(np.int64)


def _first_ends(file: BinaryIO, size: int) -> tuple[bytes, np.ndarray, bool, bool]:
    """Reads pieces of `size` bytes until rows end in one, looking at each once, and ROW_BYTES or a bit more at most.

    Returns:
        the bytes; where rows end among them; whether a quote is open in the end; and whether the file ends there.
    """
    pieces: list[bytes] = []
    length, is_open = 0, False
    while True:
        piece = file.read(size)
        ends, is_open = _row_ends(piece, is_open)
        pieces.append(piece)
        if len(ends) or len(piece) < size or length + size > ROW_BYTES:
            return b"".join(pieces), length + ends, is_open, len(piece) < size
        length += size


def _row_ends(piece: bytes, is_open: bool) -> tuple[np.ndarray, bool]:
    """Where rows end, after their line feed; and whether a quote is open in the end, as `is_open` in the beginning."""
    raw = np.frombuffer(piece, np.uint8)
    newlines, quotes = np.flatnonzero(raw == NEWLINE), np.flatnonzero(raw == QUOTE)
    outside = (np.searchsorted(quotes, newlines) + is_open) % 2 == 0
    return newlines[outside] + 1, bool((len(quotes) + is_open) % 2)


def _count(window: bytes, ends: np.ndarray) -> int:
    """Rows without blank lines."""
    raw = np.frombuffer(window + b"\n", np.uint8)
    starts = np.concatenate([[0], ends[:-1]])
    is_blank = (raw[starts] == NEWLINE) | ((raw[starts] == RETURN) & (raw[starts + 1] == NEWLINE))
    return int(len(ends) - is_blank.sum())


def _explained(path: str, content: bytes, error: pa.ArrowInvalid) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as found:
        return _not_utf8(path, found)
    reason = " ".join(str(error).split())[:200]
    return f"{path} is not valid CSV ({reason}); separate cells by commas and quote those that hold commas"


def _not_utf8(path: str, error: UnicodeDecodeError) -> str:
    near = error.object[max(0, error.start - 20) : error.start].decode("utf-8", "replace")
    return f"{path} is not UTF-8 (after {near!r}); convert it, for example with iconv -f LATIN1 -t UTF-8"
