"""A small feed of parcels with every kind of column and feature."""

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components import artifacts
from components.artifacts import Examples, Partition, Snapshot
from components.features.transform import Transform
from components.learning.config import WideDeep
from components.preprocess.config import PreprocessConfig
from components.preprocess.runners import Engine
from components.schema import parse

FIRST_DAY = datetime(2024, 2, 20)
SERIAL_STEP = 0.5
Record = tuple[np.ndarray, np.ndarray, float]
"""The floats, the ids and the label of an example."""
COLUMNS = {
    "time": "timestamp",
    "serial": "float",
    "weight": "float",
    "price": "float",
    "pieces": "integer",
    "never": "float",
    "town": "string",
    "nowhere": "string",
    "zone": "integer",
    "carrier name": "string",
    "fragile": "boolean",
    "late": "integer",
}
FEATURES: list[dict[str, Any]] = [
    {"kind": "numeric", "name": "serial", "column": "serial", "scale": "none"},
    {"kind": "numeric", "name": "weight", "column": "weight", "indicator": True},
    {"kind": "numeric", "name": "log_price", "column": "price", "log": True, "clip": [0, 1000]},
    {"kind": "numeric", "name": "pieces", "column": "pieces", "scale": "min_max"},
    {"kind": "numeric", "name": "never", "column": "never"},
    {"kind": "numeric", "name": "weight_class", "column": "weight", "scale": "buckets", "buckets": 4},
    {"kind": "numeric", "name": "price_class", "column": "price", "scale": "buckets", "buckets": 10},
    {"kind": "numeric", "name": "never_class", "column": "never", "scale": "buckets", "buckets": 4},
    {"kind": "category", "name": "town", "column": "town", "min_count": 3, "oov_buckets": 2},
    {"kind": "category", "name": "few_towns", "column": "town", "min_count": 1, "max_size": 5},
    {"kind": "category", "name": "nowhere", "column": "nowhere"},
    {"kind": "category", "name": "zone", "column": "zone", "min_count": 1},
    {"kind": "category", "name": "carrier", "column": "carrier name", "hash_buckets": 7},
    {"kind": "cross", "name": "route", "columns": ["town", "zone"], "hash_buckets": 50},
    {"kind": "datetime", "name": "hour", "column": "time", "parts": ["hour"]},
    {"kind": "datetime", "name": "weekday", "column": "time", "parts": ["weekday"], "encode": "category"},
    {"kind": "boolean", "name": "fragile", "column": "fragile"},
]
TOWNS = ["Zürich", "São Paulo", "東京", "two\nlines", "cr\rtown", "12 Oaks", "a\x1eb", " blank ", "Ω", "O'Neill", "x,y"]


def section(time: bool = True, **preprocess: Any) -> PreprocessConfig:
    """The configuration of the feed; without time, rows are named by their serial."""
    roles = {"time": "time"} if time else {"key": ["serial"]}
    data = {"columns": COLUMNS, "label": "late", "task": "binary", **roles}
    features = [feature for feature in FEATURES if time or feature["name"] != "serial"]
    return parse(PreprocessConfig, json.dumps({"data": data, "features": features, "preprocess": preprocess}))


def engine(**keys: Any) -> Engine:
    """The keys of the section that name an engine."""
    return parse(Engine, json.dumps(keys))


def parcels(rows: int, first_day: int, days: int, serial: int = 0, new_towns: tuple[str, ...] = ()) -> pa.Table:
    """Rows spread evenly over days, some of them without a label; values of every kind are missing here and there.

    Every 50th is from one of 12 hamlets, in turn, which are rare.
    """
    random = np.random.default_rng(serial + 1)
    seconds = first_day * 86_400 + np.arange(rows) * (days * 86_400) // rows
    names = [*new_towns, *TOWNS]

    def some(values: Any, kind: pa.DataType, share: float) -> pa.Array:
        return pa.array(values, kind, mask=random.random(rows) < share)

    towns = [names[place] for place in np.minimum(random.geometric(0.25, rows) - 1, len(names) - 1)]
    for place in range(0, rows, 50):
        towns[place] = f"hamlet {(serial + place) // 50 % 12}"
    return pa.table(
        {
            "time": pa.array([FIRST_DAY + timedelta(seconds=int(second)) for second in seconds], pa.timestamp("us")),
            "serial": pa.array((serial + np.arange(rows)) * SERIAL_STEP),
            "weight": some(random.normal(70, 12, rows), pa.float64(), 0.1),
            "price": some(random.lognormal(4, 2, rows), pa.float64(), 0.05),
            "pieces": some(random.integers(1, 30, rows), pa.int64(), 0.05),
            "never": pa.nulls(rows, pa.float64()),
            "town": some(towns, pa.string(), 0.05),
            "nowhere": pa.nulls(rows, pa.string()),
            "zone": some(random.integers(-3, 40, rows), pa.int64(), 0.02),
            "carrier name": some([f"carrier {number}" for number in random.integers(0, 30, rows)], pa.string(), 0.05),
            "fragile": some(random.random(rows) < 0.3, pa.bool_(), 0.1),
            "late": some(random.integers(0, 2, rows), pa.int64(), 0.03),
        }
    )


def snapshot(root: Path, name: str, tables: dict[str, pa.Table], row_group_rows: int = 700) -> Path:
    """Writes a snapshot of one partition a table, named by its key."""
    partitions = []
    for digest, table in tables.items():
        partition = Partition(digest, f"{digest}.parquet", table.num_rows, table["late"].null_count, {})
        path = partition.rows_path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=row_group_rows)
        partitions.append(partition)
    made = Snapshot(name, tuple(partitions), root)
    made.write()
    return made.path


def version(folder: Path, number: int, examples: Path, until: int | None, partitions: tuple[str, ...]) -> Path:
    """A version as far as preprocess reads it, made from an artifact of preprocess."""
    folder.mkdir()
    for name in (artifacts.FEATURES, artifacts.CONSTANTS, artifacts.EXAMPLES):
        shutil.copy(examples / name, folder / name)
    shutil.copytree(examples / artifacts.VOCABULARY, folder / artifacts.VOCABULARY)
    artifacts.write_json(folder / artifacts.NETWORK, {"network": WideDeep().model_dump(mode="json")})
    lineage = {"version": number, "trained_until": until, "partitions": list(partitions)}
    artifacts.write_json(folder / artifacts.LINEAGE, lineage)
    return folder


@dataclass(frozen=True)
class Made:
    """An artifact of preprocess and what it was made from."""

    folder: Path
    rows: pa.Table
    config: PreprocessConfig
    details: dict[str, Any]

    @property
    def examples(self) -> Examples:
        return Examples.read(self.folder)

    @property
    def transform(self) -> Transform:
        return Transform.read(self.folder)

    def labelled(self, first_day: int, end_day: int) -> pa.Table:
        """Labelled rows of the days from the first to before the end, counted from FIRST_DAY."""
        start, end = (pa.scalar(FIRST_DAY + timedelta(days=day), pa.timestamp("us")) for day in (first_day, end_day))
        inside = pc.and_(pc.greater_equal(self.rows["time"], start), pc.less(self.rows["time"], end))
        return self.rows.filter(pc.and_(inside, pc.is_valid(self.rows["late"])))


def records(made: Made, part: str) -> dict[float, Record]:
    """Serial (the first float) → the record."""
    import tensorflow as tf

    found = {}
    for path in made.examples.paths(made.folder, part):
        for raw in tf.data.TFRecordDataset(str(path), compression_type="GZIP"):
            feature = tf.train.Example.FromString(raw.numpy()).features.feature
            assert sorted(feature) == ["floats", "ids", "label"]
            floats = np.array(feature["floats"].float_list.value, np.float32)
            ids = np.array(feature["ids"].int64_list.value)
            (label,) = feature["label"].float_list.value
            assert floats[0] not in found
            found[float(floats[0])] = (floats, ids, label)
    return found
