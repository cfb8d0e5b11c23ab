"""Writes the unreadable rows of a unit, and gives up where they are too many."""

from collections import Counter
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import UserError
from components.predict.files import move
from components.predict.rows import BAD_SCHEMA

REASONS_SHOWN = 3


class BadRows:
    """Rows in BAD_SCHEMA, written as they come; the file appears when the block ends, if there are any."""

    def __init__(self, path: Path, source: str, most: int) -> None:
        """Writes nothing yet.

        Args:
            path: the file to write.
            source: the file that the rows are of.
            most: unreadable rows that this file may have.
        """
        self.counts: Counter[str] = Counter()
        """By reason."""
        self._path, self._source, self._most = path, source, most
        self._beside = path.with_name(f".{path.name}.tmp")
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.Table) -> None:
        """Writes some rows.

        Raises:
            UserError: those before were too many already.
        """
        if self.counts.total() > self._most:
            told = f"at least {self.counts.total()} rows of {self._source} cannot be read"
            raise UserError(too_many(told, f"the {self._most} that predict.max_bad_rows", self.counts, self._path))
        if self._writer is None:
            self._path.parent.mkdir(exist_ok=True)
            self._writer = pq.ParquetWriter(self._beside, BAD_SCHEMA)
        self._writer.write_table(rows)
        self.counts.update(rows.column("reason").to_pylist())

    def __enter__(self) -> "BadRows":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Keeps the rows also where they are too many: they show what is to be mended."""
        if self._writer is None:
            return
        try:
            self._writer.close()
            if error is None or isinstance(error, UserError):
                move(self._beside, self._path)
        finally:
            self._beside.unlink(missing_ok=True)


def too_many(told: str, allowed: str, reasons: Counter[str], where: Path) -> str:
    """The sentence that refuses a file."""
    shown = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(REASONS_SHOWN))
    return f"{told}, more than {allowed} allows: {shown}; see {where} and mend the file"
