"""A small feed of flights: partitions, snapshots and versions in service, as ingest and deploy leave them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.artifacts import Partition, Snapshot, read_json, read_records, run_folder, run_name, write_json
from components.features.arrow import arrow_schema
from components.features.columns import Data
from components.features.declaration import Moments, Nothing, Vocabulary
from components.features.transform import Transform
from components.schema import parse
from components.validate.config import ValidateConfig
from components.validate.validate import validate

COLUMNS = {
    "time": "timestamp",
    "temp": "float",
    "seats": "integer",
    "origin": "string",
    "cargo": "boolean",
    "remark": "string",
    "late": "integer",
}
FEATURES = [
    {"kind": "numeric", "name": "temp", "column": "temp"},
    {"kind": "numeric", "name": "seats", "column": "seats"},
    {"kind": "category", "name": "origin", "column": "origin"},
    {"kind": "boolean", "name": "cargo", "column": "cargo"},
    {"kind": "datetime", "name": "when", "column": "time", "parts": ["hour"]},
]
LEARNED = {"moments": Moments(0, 1, 0, 1), "nothing": Nothing(), "vocabulary": Vocabulary(("EWR",), (1,))}


@dataclass(frozen=True)
class Outcome:
    answer: str | None
    error: str | None
    details: dict[str, Any]
    statistics: dict[str, Any]

    def has(self, severity: str, words: str) -> bool:
        found = self.details["anomalies"]
        return any(one["severity"] == severity and words in one["what"] for one in found)


class Feed:
    """Makes the inputs of validate below a work directory, and runs it."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.root = work / "data" / "flights"
        self.count = 0

    def rows(self, rows: int, seed: int = 0, **columns: Any) -> dict[str, Any]:
        """Columns of a partition; those given replace the usual ones."""
        random = np.random.default_rng(seed)
        usual = {
            "time": random.integers(1_357_000_000, 1_380_000_000, rows) * 1_000_000,
            "temp": random.normal(10, 5, rows),
            "seats": random.integers(20, 400, rows),
            "origin": random.choice(["EWR", "JFK", "LGA", "HPN"], rows, p=[0.4, 0.3, 0.2, 0.1]),
            "cargo": random.random(rows) < 0.5,
            "remark": np.full(rows, "none"),
            "late": (random.random(rows) < 0.25).astype(int),
        }
        return {name: columns.get(name, values) for name, values in usual.items()}

    def partition(self, digest: str, rows: dict[str, Any], data: dict[str, Any] | None = None) -> Partition:
        schema = arrow_schema(parse(Data, json.dumps(data or self.data())))
        arrays = [pa.array(list(rows[name]), from_pandas=True).cast(schema.field(name).type) for name in schema.names]
        table = pa.table(arrays, schema=schema)
        partition = Partition(digest, f"{digest}.csv", len(table), table["late"].null_count, {})
        path = partition.rows_path(self.root)
        path.parent.mkdir(parents=True)
        pq.write_table(table, path, row_group_size=16_384)
        return partition

    def snapshot(self, *partitions: Partition) -> Path:
        digest = "3f2a77aa" + "-".join(part.digest for part in partitions)
        snapshot = Snapshot(digest, partitions, self.root)
        snapshot.write()
        return snapshot.path

    def data(self, **changed: Any) -> dict[str, Any]:
        return {"columns": COLUMNS, "label": "late", "task": "binary", "time": "time"} | changed

    def config(self, data: dict[str, Any] | None = None, features: list[dict[str, Any]] = FEATURES, **validate: Any):
        text = json.dumps({"name": "flights", "data": data or self.data(), "features": features, "validate": validate})
        return parse(ValidateConfig, text)

    def run(self, snapshot: Path, serving: Path, digest: str = "same", force: bool = False, **config: Any) -> Outcome:
        self.count += 1
        output = self.work / "pipeline" / str(self.count) / "statistics"
        answer = error = None
        try:
            answer = validate(snapshot, serving, self.config(**config), digest, force, self.work, output)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        details = read_records(run_folder(self.work, run_name()))["validate"].details
        statistics = read_json(output / "statistics.json") if answer else {}
        return Outcome(answer, error, details, statistics)

    def nothing(self) -> Path:
        empty = self.work / "empty"
        empty.mkdir(exist_ok=True)
        return empty

    def serve(self, snapshot: Path, **config: Any) -> Path:
        """Version 3, trained on a snapshot."""
        outcome = self.run(snapshot, self.nothing(), **config)
        folder = self.work / "models" / "flights" / "versions" / "3"
        lineage = {
            "version": 3,
            "training_digest": "same",
            "snapshot": snapshot.name,
            "partitions": [part.digest for part in Snapshot.read(snapshot).partitions],
        }
        write_json(folder / "lineage.json", lineage)
        write_json(folder / "statistics.json", outcome.statistics)
        declared = self.config(**config)
        constants = {feature.name: LEARNED[feature.learns] for feature in declared.features}
        Transform(declared.data, declared.features, constants).write(folder)
        return folder


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)
