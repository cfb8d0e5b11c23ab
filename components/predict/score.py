"""One unit of rows → one file of predictions."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from components.errors import UserError
from components.features.bulk import BulkTransform
from components.features.columns import Data
from components.predict import read_csv, read_parquet
from components.predict.bad_rows import BadRows
from components.predict.files import move, writable
from components.predict.job import prediction_fields
from components.predict.rows import Cells, Wanted, part
from components.predict.units import Unit
from components.predictor.predictor import Predictor

BAD, ERRORS = "_bad", "_errors"
"""Folder of the unreadable rows; readers of Parquet leave out what starts with _."""
COUNTS = b"evergreen.bad"
VERSION = b"evergreen.version"


@dataclass(frozen=True)
class Counts:
    """What a finished shard holds."""

    rows: int
    bad: dict[str, int]
    """By reason."""
    bytes: int


class Scorer:
    """Predicts units; one for each thread, because an interpreter holds one batch at a time."""

    def __init__(
        self, serving: Path, version: int, wanted: Wanted, schema: pa.Schema, most_bad: dict[str, int], folder: Path
    ) -> None:
        """Loads the model.

        Args:
            serving: the serving artifact.
            version: its number, noted in each file.
            wanted: what is read of the rows.
            schema: of the output.
            most_bad: path → unreadable rows that the file may have.
            folder: where the output goes.
        """
        self._predictor = Predictor.load(serving)
        self._transform = BulkTransform(self._predictor.transform)
        self._version, self._wanted, self._folder = version, wanted, folder
        self._schema, self._most_bad = schema, most_bad

    def write(self, shard: str, unit: Unit) -> None:
        """Predicts a unit; the file appears whole, and after that of its bad rows, if it has any.

        Raises:
            UserError: the rows cannot be read, too many of them are bad, or the output cannot be written.
        """
        path = self._folder / f".{shard}.tmp"
        # Keys and predictions hardly ever repeat: dictionaries of them cost time and make the file larger.
        floats = [field.name for field in self._schema if types.is_floating(field.type)]
        layout = {"use_dictionary": False, "use_byte_stream_split": floats, "compression": "zstd"}
        try:
            with writable(self._folder), pq.ParquetWriter(path, self._schema, **layout) as writer:
                counts = self._write(shard, unit, writer)
                writer.add_key_value_metadata({VERSION: str(self._version).encode(), COUNTS: _as_json(counts)})
            with writable(self._folder):
                move(path, self._folder / shard)
        finally:
            path.unlink(missing_ok=True)

    def _write(self, shard: str, unit: Unit, writer: pq.ParquetWriter) -> Counter[str]:
        """Writes the predictions, and the bad rows beside them; returns these' number by reason."""
        with BadRows(self._folder / BAD / shard, unit.path, self._most_bad[unit.path]) as bad:
            for cells in _read(unit, self._wanted):
                rows = part(cells, self._wanted, unit.path)
                for some in rows.bad:
                    bad.write(some)
                writer.write_table(self._predicted(rows.good))
        return bad.counts

    def _predicted(self, rows: pa.Table) -> pa.Table:
        blocks = self._transform.blocks(rows)
        predictions = np.concatenate([self._predictor.predict_transformed(*block) for block in blocks])
        keys = [rows.column(name) for name in self._wanted.keys]
        arrays = [*keys, *prediction_arrays(predictions, self._wanted.data)]
        columns = [_plain(array, field.type) for array, field in zip(arrays, self._schema)]
        return pa.table(columns, schema=self._schema)


def prediction_arrays(predictions: np.ndarray, data: Data) -> list[pa.Array]:
    """What `Predictor.predict` gives as the columns that `prediction_fields` names."""
    if data.task != "multiclass":
        return [pa.array(predictions)]
    kind = prediction_fields(data)[-1].type
    classes = pa.array(data.label_classes, kind)
    likeliest = classes.take(pa.array(predictions.argmax(axis=1)))
    return [*(pa.array(column) for column in predictions.T.copy()), likeliest]


def read_counts(path: Path) -> Counts:
    """Reads a finished shard's end.

    Raises:
        UserError: the file is none that a call finished.
    """
    try:
        metadata = pq.read_metadata(path)
        return Counts(metadata.num_rows, json.loads(metadata.metadata[COUNTS]), path.stat().st_size)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged or missing; delete it and run again") from None


def _read(unit: Unit, wanted: Wanted) -> Iterator[Cells]:
    return read_csv.read(unit, wanted) if unit.path.endswith(".csv") else read_parquet.read(unit, wanted)


def _plain(values: Any, kind: pa.DataType) -> Any:
    """A key that the model reads too comes as a dictionary."""
    return values.cast(kind) if values.type != kind else values


def _as_json(counts: Counter[str]) -> bytes:
    return json.dumps(dict(sorted(counts.items())), ensure_ascii=False).encode()
