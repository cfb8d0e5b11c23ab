"""Adds one source file to the content-addressed partitions."""

import functools
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from components import artifacts
from components.artifacts import Partition
from components.digests.content import Content, file_digest
from components.digests.remembered import Remembered
from components.errors import UserError
from components.features.arrow import arrow_schema
from components.features.columns import Data
from components.ingest.check import REJECTED_SCHEMA, Checked, check
from components.ingest.partitions import DESCRIPTION, REJECTED, ROWS, Partitions
from components.ingest.read_csv import CsvReader
from components.ingest.read_parquet import ParquetReader
from components.ingest.read_tfrecord import TfrecordReader
from components.ingest.sources import SourceFile
from components.schema import canonical_json

ROOT = Path(__file__).parents[2]
READING = (
    "components/features/arrow.py",
    "components/features/columns.py",
    "components/ingest/block.py",
    "components/ingest/check.py",
    "components/ingest/header.py",
    "components/ingest/partition.py",
    "components/ingest/read_csv.py",
    "components/ingest/read_parquet.py",
    "components/ingest/read_tfrecord.py",
    "components/ingest/tf_example.py",
)
"""The code that says what rows a file's bytes are: when it changes, partitions are made anew."""
ROW_GROUP_ROWS = 16_384
Reader = CsvReader | ParquetReader | TfrecordReader
READERS: dict[str, type[Reader]] = {
    ".csv": CsvReader,
    ".parquet": ParquetReader,
    ".tfrecord": TfrecordReader,
    ".tfrecord.gz": TfrecordReader,
}


@dataclass(frozen=True)
class Added:
    """A partition as one source file gives it."""

    partition: Partition
    name: str
    """The file's name now; the partition keeps the name that its content first came under."""
    ignored: tuple[str, ...]
    """Columns of the file that are not declared."""
    new: bool
    """Whether the partition was made just now."""
    bytes_read: int
    """Bytes that were read to know the content; 0 where the digest was remembered."""


def add(file: SourceFile, content: Content, data: Data, partitions: Partitions, remembered: Remembered) -> Added:
    """The partition that holds a file's content, made unless it is there already, whole.

    Args:
        file: the source file.
        content: what it holds.
        data: the declared columns.
        partitions: where it is looked for, and added.
        remembered: where `content` is from.

    Raises:
        UserError: the file cannot be read as its name says, or lacks a declared column; or it changed meanwhile.
    """
    digest = partition_digest(content.digest, data)
    known = partitions.find(digest)
    if known is None:
        with partitions.adding(digest) as folder, file.on_disk() as local:
            description = _write(_reader(Path(local.path), data), file.name, digest, data, folder)
            # A file of this machine is read again only where its state does not prove that it is what it was.
            proof = remembered if local is file else Remembered(is_on=False)
            if local.content(proof).digest != content.digest:
                raise UserError(f"{file.path} changed while it was read; run again when it is written completely")
            artifacts.write_json(folder / DESCRIPTION, description)
    found = known or partitions.find(digest)
    if found is None:
        raise UserError(f"the partition of {file.path} was deleted while it was made; run again")
    read = content.bytes if content.is_read else 0
    return Added(Partition(**found["partition"]), file.name, tuple(found["ignored_columns"]), known is None, read)


def partition_digest(content: str, data: Data) -> str:
    """The name of a partition: the digest of a file's bytes, of what rows are checked against, and of the code for it.

    Args:
        content: digest of the file's bytes.
        data: the declared columns; their descriptions and the key do not matter.
    """
    columns = {name: column.model_dump(mode="json", exclude={"description"}) for name, column in data.columns.items()}
    declared = canonical_json([reading_digest(), list(columns.items()), data.label, data.label_classes, data.time])
    return xxhash.xxh3_128_hexdigest(f"{content}\n{declared}".encode())


@functools.cache
def reading_digest() -> str:
    """The digest of the code that says what rows a file's bytes are."""
    return xxhash.xxh3_128_hexdigest("".join(file_digest(ROOT / name) for name in READING).encode())


def _reader(path: Path, data: Data) -> Reader:
    for ending, reader in READERS.items():
        if path.name.endswith(ending):
            return reader(path, data)
    raise UserError(f"{path} is of no type that can be read; its name must end in {', '.join(READERS)}")


def _write(reader: Reader, name: str, digest: str, data: Data, folder: Path) -> dict[str, Any]:
    """Writes the rows of a file and returns what `partition.json` holds."""
    tally = _Tally(data)
    with (
        _RowWriter(folder / ROWS, arrow_schema(data), data.rows_at_once(ROW_GROUP_ROWS)) as rows,
        _RowWriter(folder / REJECTED, REJECTED_SCHEMA, data.rows_at_once(ROW_GROUP_ROWS)) as rejected,
    ):
        for block in reader.blocks():
            checked = check(block, data)
            tally.count(checked)
            rows.write(checked.good)
            rejected.write(checked.rejected)
    if not tally.rows and not tally.rejected:
        raise UserError(f"{reader.path} has no rows; deliver it again or take it out of the source")
    partition = tally.partition(digest, name)
    return {"partition": asdict(partition), "ignored_columns": list(reader.ignored)}


class _Tally:
    """Counts the rows of a file."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.rows = 0
        self.unlabelled = 0
        self.rejected: Counter[str] = Counter()
        self.times: list[int] = []

    def count(self, checked: Checked) -> None:
        self.rows += checked.good.num_rows
        self.unlabelled += checked.good.column(self.data.label).null_count
        self.rejected.update(checked.rejected.column("reason").to_pylist())
        if self.data.time and checked.good.num_rows:
            extremes = pc.min_max(checked.good.column(self.data.time).cast(pa.int64())).as_py()
            self.times = [
                min([*self.times, extremes["min"] // 1_000_000]),
                max([*self.times, extremes["max"] // 1_000_000]),
            ]

    def partition(self, digest: str, source: str) -> Partition:
        first, last = self.times or (None, None)
        return Partition(digest, source, self.rows, self.unlabelled, dict(self.rejected.most_common()), first, last)


class _RowWriter:
    """Writes batches of any size as a Parquet file in row groups of one size."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int) -> None:
        self.schema, self.group_rows = schema, group_rows
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> "_RowWriter":
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._flush(sum(batch.num_rows for batch in self._waiting))
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        rows = sum(batch.num_rows for batch in self._waiting)
        self._flush(rows - rows % self.group_rows)

    def _flush(self, rows: int) -> None:
        if rows:
            table = pa.Table.from_batches(self._waiting, self.schema)
            self._writer.write_table(table.slice(0, rows), row_group_size=self.group_rows)
            self._waiting = table.slice(rows).to_batches()
