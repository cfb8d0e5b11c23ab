"""Reads TFRecords of tf.Example, plain or gzipped, without TensorFlow.

A feature must hold one value; an absent or empty one is missing. Text is a bytes_list, a boolean an int64_list of 0 or
1, a timestamp ISO 8601 text or an int64 of seconds since 1970, an image the bytes of its file. The TFRecord file holds
for each record its length (uint64), the length's masked CRC-32C, the data, and the data's, all little-endian
(TensorFlow's `core/lib/io/record_writer.h`).
"""

import gzip
import itertools
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from components.errors import UserError
from components.features.columns import ColumnType, Data
from components.features.convert import NOT_READ
from components.ingest.block import Block, Malformed
from components.ingest.header import missing_sentence
from components.ingest.tf_example import Example

BLOCK_ROWS = 16_384
LENGTH = struct.Struct("<QI")
CRC = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8
EPOCH = datetime(1970, 1, 1)

ACCEPTED: dict[ColumnType, tuple[tuple[str, ...], pa.DataType]] = {
    "string": (("bytes_list",), pa.binary()),
    "integer": (("int64_list",), pa.int64()),
    "float": (("float_list", "int64_list"), pa.float64()),
    "boolean": (("int64_list",), pa.int64()),
    "timestamp": (("bytes_list", "int64_list"), pa.string()),
    "image": (("bytes_list",), pa.binary()),
}
"""For each declared type, the lists that may hold it, and the Arrow type that its values are handed on in."""


class _RefusedError(Exception):
    """Why a record is no row."""


class TfrecordReader:
    """The rows of a TFRecord file; lines are the numbers of the records from 1."""

    def __init__(self, path: Path, data: Data) -> None:
        """Reads nothing yet: TFRecords have no header."""
        self.path = path
        self.data = data
        self._seen: set[str] = set()

    @property
    def ignored(self) -> tuple[str, ...]:
        """The features seen so far that are not declared."""
        return tuple(sorted(self._seen - set(self.data.columns)))

    def blocks(self) -> Iterator[Block]:
        """Yields the records in order.

        Raises:
            UserError: the file is corrupt, or no record has a declared column other than the label.
        """
        records = enumerate(_records(self.path), 1)
        missing: list[str] = []
        while chunk := list(itertools.islice(records, self.data.rows_at_once(BLOCK_ROWS))):
            yield self._block(chunk)
            missing = [name for name in self.data.columns if name not in self._seen and name != self.data.label]
        if missing:
            raise UserError(missing_sentence(missing, self.ignored, self.path))

    def _block(self, records: list[tuple[int, bytes]]) -> Block:
        rows, lines, malformed = [], [], []
        for line, record in records:
            try:
                rows.append(self._row(line, record))
                lines.append(line)
            except _RefusedError as reason:
                malformed.append(Malformed(line, str(reason), record.decode("utf-8", "replace")))
        columns = {
            name: pa.array([row.get(name) for row in rows], ACCEPTED[column.type][1])
            for name, column in self.data.columns.items()
        }
        return Block(pa.RecordBatch.from_pydict(columns), np.array(lines, np.int64), malformed)

    def _row(self, line: int, record: bytes) -> dict[str, Any]:
        try:
            features = Example.FromString(record).features.feature
        except DecodeError:
            raise UserError(f"{self.path}: record {line} is no tf.Example; write tf.train.Example only") from None
        self._seen.update(features)
        return {
            name: _cell(name, column.type, features[name])
            for name, column in self.data.columns.items()
            if name in features
        }


def _cell(name: str, kind: ColumnType, feature: Any) -> Any:
    written = feature.WhichOneof("kind")
    values = getattr(feature, written).value if written else ()
    if not values:
        return None
    if len(values) > 1:
        raise _RefusedError(f"{name} holds more than one value")
    if written not in ACCEPTED[kind][0]:
        raise _RefusedError(f"{name} {NOT_READ[kind]}")
    if kind == "timestamp":
        return _time_text(name, values[0])
    return float(values[0]) if kind == "float" else values[0]


def _time_text(name: str, value: bytes | int) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else (EPOCH + timedelta(seconds=value)).isoformat()
    except (UnicodeDecodeError, OverflowError):
        raise _RefusedError(f"{name} {NOT_READ['timestamp']}") from None


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file, checked.

    Raises:
        UserError: a record is cut off or not what was written, or the file is not gzip though named so.
    """
    opener = gzip.open if path.name.endswith(".gz") else open
    number = 1
    try:
        with opener(path, "rb") as file:
            while (record := _next_record(file)) is not None:
                yield record
                number += 1
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is corrupt at record {number} ({error}); deliver it again, and let its name end in .gz if, and "
            f"only if, it is compressed by gzip"
        ) from None


def _next_record(file: BinaryIO | gzip.GzipFile) -> bytes | None:
    head = file.read(LENGTH.size)
    if not head:
        return None
    if len(head) < LENGTH.size:
        raise ValueError("it is cut off")
    length, length_crc = LENGTH.unpack(head)
    if _masked_crc(head[:8]) != length_crc:
        raise ValueError("the checksum of its length is wrong")
    record, crc = file.read(length), file.read(CRC.size)
    if len(record) < length or len(crc) < CRC.size:
        raise ValueError("it is cut off")
    if _masked_crc(record) != CRC.unpack(crc)[0]:
        raise ValueError("its checksum is wrong")
    return record


def _masked_crc(content: bytes) -> int:
    crc: int = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF
