"""A small model over columns of every type, with held-out rows and the predictions that evaluate left of them."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import components.learning.legacy_keras  # noqa: F401
from components import artifacts
from components.features.arrow import arrow_schema, dense
from components.features.boolean import Boolean
from components.features.category import Category
from components.features.columns import Data
from components.features.datetime import Datetime
from components.features.declaration import Moments, Nothing
from components.features.numeric import Numeric
from components.features.transform import Transform
from components.predictor.predictor import Predictor
from components.rehearse.config import Rehearse, RehearseConfig
from components.rehearse.rehearse import rehearse

COLUMNS = {
    "time": "timestamp",
    "temp": "float",
    "seats": "integer",
    "origin": "string",
    "cargo": "boolean",
    "late": "integer",
}
CLASSES = {"binary": [0, 1], "multiclass": [0, 1, 2]}
FEATURES = (
    Numeric(name="temp", column="temp", indicator=True),
    Numeric(name="seats", column="seats"),
    Boolean(name="cargo", column="cargo"),
    Datetime(name="hour", column="time", parts=("hour",)),
    Category(name="origin", column="origin", hash_buckets=8),
)
LEARNED = {
    "temp": Moments(10.0, 5.0, -10.0, 40.0),
    "seats": Moments(150.0, 60.0, 2.0, 400.0),
    "cargo": Nothing(),
    "hour": Nothing(),
    "origin": Nothing(),
}
WORDS = ["EWR", "JFK", "Zürich", '"quoted"\n', "東京", None]


def transform_of(task: str) -> Transform:
    raw = {"columns": COLUMNS, "label": "late", "task": task, "classes": CLASSES[task], "time": "time"}
    return Transform(Data.model_validate_json(json.dumps(raw)), FEATURES, LEARNED)


@pytest.fixture(scope="session")
def litert() -> Callable[[str], bytes]:
    """A task to a LiteRT model of the transform's floats and ids."""
    import tensorflow as tf

    @functools.cache
    def make(task: str) -> bytes:
        transform, random = transform_of(task), np.random.default_rng(3)
        outputs = 1 if task == "binary" else 3
        module = tf.Module()
        module.weights = tf.constant(random.normal(size=(len(transform.float_names), outputs)), tf.float32)
        module.table = tf.constant(random.normal(size=(transform.id_sizes[0], outputs)), tf.float32)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, len(transform.float_names)], tf.float32, name="floats"),
                tf.TensorSpec([None, 1], tf.int32, name="ids"),
            ]
        )
        def forward(floats, ids):
            logits = floats @ module.weights + tf.gather(module.table, ids[:, 0])
            return {"prediction": tf.sigmoid(logits) if task == "binary" else tf.nn.softmax(logits)}

        converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()], module)
        return converter.convert()

    return make


def make_table(data: Data, rows: int) -> pa.Table:
    random = np.random.default_rng(5)
    known = random.random(rows) > 0.1
    temp = random.normal(10, 5, rows)
    temp[0] = np.inf
    columns = {
        "time": pa.array(random.integers(1.3e15, 1.4e15, rows), pa.int64(), mask=~known).cast(pa.timestamp("us")),
        "temp": pa.array(np.where(known, temp, np.nan), from_pandas=True),
        "seats": pa.array(random.integers(-5, 400, rows), mask=~known),
        "origin": pa.array([WORDS[index] for index in random.integers(0, len(WORDS), rows)]),
        "cargo": pa.array(random.random(rows) < 0.5, mask=~known),
        "late": pa.array(random.integers(0, 2, rows)),
    }
    return pa.table([columns[name] for name in data.columns], schema=arrow_schema(data))


class Stage:
    """Artifacts of evaluate and preprocess below one folder, and the rehearsal of them."""

    def __init__(self, root: Path, litert: Callable[[str], bytes]) -> None:
        self.work, self.chosen, self.examples = root / "work", root / "chosen", root / "examples"
        self.recorded = root / "recorded"
        self.serving = self.chosen / artifacts.SERVING
        self.litert = litert
        self.use("binary")

    def use(self, task: str, rows: int = 300) -> None:
        self.transform = transform_of(task)
        for folder in (self.serving, self.examples, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        (self.serving / artifacts.LITERT_MODEL).write_bytes(self.litert(task))
        self.transform.write(self.serving)
        spec = {"task": task, "classes": CLASSES[task], "recipe": "float32"}
        artifacts.write_json(self.serving / artifacts.SERVING_SPEC, spec)
        pq.write_table(make_table(self.transform.data, rows), self.examples / artifacts.HELDOUT)
        table = pq.read_table(self.examples / artifacts.HELDOUT)
        predictor = Predictor.load(self.serving)
        self.write(predictor.predict(dense(table, self.transform.data, predictor.source_columns)))

    @property
    def predictions(self) -> np.ndarray:
        return np.load(self.chosen / artifacts.HELDOUT_PREDICTIONS)

    def write(self, predictions: np.ndarray) -> None:
        np.save(self.chosen / artifacts.HELDOUT_PREDICTIONS, predictions)

    def log(self, *instances: dict[str, Any]) -> None:
        """What the server in service was asked before."""
        lines = [{"time_s": 1.0, "version": 1, "instance": instance, "prediction": 0.5} for instance in instances]
        path = artifacts.request_log(self.work, "flights") / "1.jsonl"
        artifacts.write_bytes(path, "\n".join(map(json.dumps, lines)).encode())

    def rehearse(self, **section: Any) -> dict[str, Any]:
        """Rehearses with few requests and no limits but those given; the record's details."""
        loose = dict.fromkeys(("latency_p50_ms", "latency_p99_ms", "min_requests_per_s", "memory_mb", "start_s"))
        config = RehearseConfig(name="flights", rehearse=Rehearse(**{**loose, "requests": 300, **section}))
        decision = rehearse(self.chosen, self.examples, config, self.work, self.recorded)
        record = artifacts.read_records(artifacts.run_folder(self.work, "test"))["rehearse"]
        assert (record.status, record.details["decision"]) == ("done", decision)
        return record.details


@pytest.fixture
def stage(tmp_path, litert, monkeypatch) -> Stage:
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "test")
    return Stage(tmp_path, litert)
