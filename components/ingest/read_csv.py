"""Reads CSV: comma separated, UTF-8, a header, quotes as RFC 4180 has them. An empty cell is a missing value."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from components.errors import UserError
from components.features.columns import Data
from components.ingest.block import Block, Malformed
from components.ingest.header import check_names

BLOCK_BYTES = 4 << 20
ENCODING = "utf-8-sig"


class CsvReader:
    """The rows of a CSV file, every cell as text.

    Lines are counted with the header as line 1, without blank lines; a line break within quotes does not start a line.
    """

    def __init__(self, path: Path, data: Data) -> None:
        """Checks the header.

        Raises:
            UserError: the header is missing, repeats a name, lacks a declared column or is not UTF-8, or the file's
                quotes do not pair up.
        """
        self.path = path
        self.names = list(data.columns)
        self.ignored = check_names(_header(path), self.names, path)
        _check_quotes(path)
        self._malformed: list[Malformed] = []

    def blocks(self) -> Iterator[Block]:
        """Yields the rows in order.

        Raises:
            UserError: a declared column holds bytes that are not UTF-8, or the file is no CSV.
        """
        next_line, told = 2, 0
        try:
            for cells in self._stream():
                lines = self._lines(next_line, cells.num_rows)
                next_line = int(lines[-1]) + 1 if len(lines) else next_line
                news, told = self._malformed[told:], len(self._malformed)
                yield Block(cells, lines, news)
        except pa.ArrowInvalid as error:
            raise UserError(_explained(self.path, error)) from None
        if self._malformed[told:]:
            yield Block(cells.slice(0, 0), np.empty(0, np.int64), self._malformed[told:])

    def _stream(self) -> pa.csv.CSVStreamingReader:
        text = dict.fromkeys(self.names, pa.string())
        return pa.csv.open_csv(
            self.path,
            # Line numbers of malformed rows are only told where blocks are parsed one after the other.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=self._note),
            convert_options=pa.csv.ConvertOptions(
                include_columns=self.names, column_types=text, null_values=[""], strings_can_be_null=True
            ),
        )

    def _note(self, row: pa.csv.InvalidRow) -> str:
        self._malformed.append(Malformed(row.number, "the row has another number of cells than the header", row.text))
        return "skip"

    def _lines(self, first: int, rows: int) -> np.ndarray:
        """The numbers of the next good rows: those from `first` on that no malformed row has."""
        taken = [bad.line for bad in self._malformed if bad.line >= first]
        return np.setdiff1d(np.arange(first, first + rows + len(taken)), taken)[:rows]


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding=ENCODING, errors="surrogateescape", newline="") as file:
            line = file.readline()
            line.encode()  # before csv, which refuses some of what is not UTF-8 without saying so
            file.seek(0)
            names = next(csv.reader(file), [])
        "".join(names).encode()
    except UnicodeEncodeError:
        raise UserError(_not_utf8(path)) from None
    except csv.Error:
        names = []
    if not any(names):
        raise UserError(f"{path} does not start with a header; its first line must name the columns")
    return names


def _check_quotes(path: Path) -> None:
    with path.open("rb") as file:
        quotes = sum(chunk.count(b'"') for chunk in iter(lambda: file.read(BLOCK_BYTES), b""))
    if quotes % 2:
        raise UserError(
            f"{path} has {quotes} double quotes, so one of them opens a cell that nothing closes and would swallow the "
            'rows after it; the file may be cut off, or quotes within cells must be doubled ("")'
        )


def _explained(path: Path, error: pa.ArrowInvalid) -> str:
    reason = " ".join(str(error).split())
    if "UTF8" in reason:
        return _not_utf8(path)
    if "straddl" in reason:
        return f"{path} has a row longer than {BLOCK_BYTES} bytes; a quote may be opened there and never closed"
    return f"{path} is not valid CSV ({reason}); separate cells by commas and quote those that hold commas"


def _not_utf8(path: Path) -> str:
    """Says where the first byte is that is not UTF-8."""
    offset, line = 0, 1
    with path.open("rb") as file:
        for number, row in enumerate(file, 1):
            try:
                row.decode("utf-8")
            except UnicodeDecodeError as error:
                offset, line = offset + error.start, number
                break
            offset += len(row)
    return (
        f"{path} is not UTF-8: line {line}, byte {offset} of the file; convert it, for example with "
        f"iconv -f LATIN1 -t UTF-8"
    )
