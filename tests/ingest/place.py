"""A small table with one column of each type, a source folder, and ingest on the two."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components import artifacts
from components.artifacts import Snapshot
from components.features.columns import Data
from components.ingest.config import Ingest, IngestConfig
from components.ingest.ingest import ingest

COLUMNS = {
    "id": {"type": "string", "required": True},
    "when": "timestamp",
    "size": {"type": "integer", "min": -1000, "max": 1000},
    "price": "float",
    "on": "boolean",
    "colour": {"type": "string", "values": ["red", "green"]},
    "late": "integer",
}
NAMES = tuple(COLUMNS)
GOOD_ROW = {
    "id": "a", "when": "2020-01-01T08:30:00", "size": "5", "price": "1.5", "on": "true", "colour": "red", "late": "1",
}  # fmt: skip


def make_data(**changes: Any) -> Data:
    raw = {"columns": COLUMNS, "label": "late", "task": "binary", "time": "when", "key": ("id",), **changes}
    return Data(**raw)


def csv_text(*rows: dict[str, str], header: tuple[str, ...] = NAMES) -> str:
    """CSV of the good row with what each of `rows` has otherwise."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**GOOD_ROW, **row} for row in rows)
    return text.getvalue()


@dataclass
class Place:
    """A work directory with a source folder."""

    work: Path

    @property
    def source(self) -> Path:
        return self.work / "source"

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def put_table(self, name: str, table: pa.Table, **options: Any) -> Path:
        path = self.put(name, b"")
        pq.write_table(table, path, **options)
        return path

    def ingest(
        self,
        pattern: str = "*",
        until: str = "",
        data: Data | None = None,
        max_bad_rows: float = 1.0,
        remember_digests: bool = True,
    ) -> Snapshot:
        source = pattern if "://" in pattern else f"{{work}}/source/{pattern}"
        section = Ingest(source=source, max_bad_rows=max_bad_rows, remember_digests=remember_digests)
        config = IngestConfig(data=data or make_data(), ingest=section)
        return Snapshot.read(ingest(config, self.work, "model", until))

    def rows(self, snapshot: Snapshot) -> pa.Table:
        return pa.concat_tables(pq.read_table(path) for path in snapshot.paths())

    def rejected(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        parts = [pq.read_table(part.rejected_path(snapshot.data_root)) for part in snapshot.partitions]
        return pa.concat_tables(parts).to_pylist()

    def details(self) -> dict[str, Any]:
        folder = artifacts.run_folder(self.work, artifacts.run_name())
        return artifacts.read_records(folder)["ingest"].details

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file below `data/`."""
        found = sorted((self.work / "data").rglob("*"))
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found if path.is_file()}
