"""A room with variants whose quality is known: a linear model of two floats, of which one is noise."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import components.learning.legacy_keras  # noqa: F401
from components import artifacts
from components.evaluate.config import EvaluateConfig
from components.evaluate.evaluate import evaluate
from components.features.arrow import arrow_schema, dense
from components.features.columns import Data
from components.features.declaration import Nothing
from components.features.numeric import Numeric
from components.features.transform import Transform

COLUMNS = {"x": "float", "noise": "float", "carrier": "string", "late": "integer"}
FEATURES = (Numeric(name="signal", column="x", scale="none"), Numeric(name="noise", column="noise", scale="none"))
GOOD = ((2.0,), (0.0,))
SLIGHTLY_WORSE = ((2.0,), (0.3,))
POOR = ((2.0,), (4.0,))
USELESS = ((0.0,), (1.0,))
BROKEN = ((float("nan"),), (0.0,))


def make_data(**changes) -> Data:
    raw = {"columns": COLUMNS, "label": "late", "task": "binary", **changes}
    return Data.model_validate_json(json.dumps(raw))


@pytest.fixture(scope="session")
def litert() -> Callable[[tuple, str], bytes]:
    """Weights (2, outputs) and a task to a LiteRT model."""
    import tensorflow as tf

    activations = {"binary": tf.sigmoid, "multiclass": tf.nn.softmax, "regression": tf.identity}

    @functools.cache
    def make(weights: tuple, task: str) -> bytes:
        module = tf.Module()
        module.weights = tf.constant(weights, tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="floats")])
        def forward(floats):
            return {"prediction": activations[task](floats @ module.weights)}

        converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()], module)
        return converter.convert()

    return make


def make_table(data: Data, rows: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    x, noise = random.normal(size=(2, rows))
    late = (random.random(rows) < 1 / (1 + np.exp(-2 * x))).astype(int)
    columns = {
        "x": x,
        "noise": noise,
        "carrier": random.choice(["AA", "UA", "WN", None], rows, p=[0.5, 0.3, 0.15, 0.05]),
    }
    label = {"binary": late, "multiclass": np.where(noise > 1, 2, late), "regression": 2 * x}[data.task]
    return pa.table(
        [pa.array({**columns, "late": label}[name], from_pandas=True).cast(arrow_schema(data).field(name).type)
         for name in data.columns],
        schema=arrow_schema(data),
    )  # fmt: skip


class Room:
    """Makes artifacts below one folder and evaluates them."""

    def __init__(self, root: Path, litert: Callable[[tuple, str], bytes]) -> None:
        self.root, self.litert, self.data = root, litert, make_data()
        self.examples, self.work, self.chosen = root / "examples", root / "work", root / "chosen"
        self.serving = root / "work" / "empty"
        self.logged: dict[str, float] = {}
        self.serving.mkdir(parents=True)
        self.heldout(make_table(self.data, 2000, seed=0))

    def use(self, data: Data) -> None:
        self.data = data
        self.heldout(make_table(data, 2000, seed=0))

    def heldout(self, table: pa.Table) -> None:
        self.examples.mkdir(exist_ok=True)
        pq.write_table(table, self.examples / artifacts.HELDOUT)
        self.expected()

    def expected(self, change: Callable[[np.ndarray, np.ndarray], None] = lambda floats, ids: None) -> None:
        """Writes what the TensorFlow form gave for the first 100 rows."""
        table = pq.read_table(self.examples / artifacts.HELDOUT).slice(0, 100)
        transform = self.transform()
        floats, ids = transform(dense(table, self.data, transform.source_columns))
        change(floats, ids)
        np.savez(self.examples / "heldout_expected.npz", floats=floats, ids=ids)

    def transform(self, data: Data | None = None) -> Transform:
        return Transform(data or self.data, FEATURES, {"signal": Nothing(), "noise": Nothing()})

    def serving_artifact(self, folder: Path, recipe: str, weights: tuple, padding: int = 0, data: Data | None = None):
        data = data or self.data
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(self.litert(weights, data.task) + bytes(padding))
        self.transform(data).write(folder)
        spec = {"task": data.task, "classes": list(data.label_classes), "float_width": 2, "id_count": 0}
        artifacts.write_json(folder / "serving.json", {**spec, "recipe": recipe})

    def variant(self, recipe: str, weights: tuple = GOOD, padding: int = 0) -> Path:
        folder = self.root / f"variant-{recipe}"
        self.serving_artifact(folder / "serving", recipe, weights, padding)
        made = {"seconds": 1.5, "examples": 0, "cost": None}
        artifacts.write_json(
            folder / "variant.json",
            {"recipe": recipe, "sparsity": 0.25, "parameters": 2, "made": made, "notes": ["it stays as it is"]},
        )
        record = artifacts.Record(f"compress-{recipe}", "other", 0.0, status="done")
        artifacts.write_json(folder / "records" / f"compress-{recipe}.json", vars(record))
        return folder

    def in_service(self, weights: tuple, data: Data | None = None) -> Path:
        """Puts a version 3 into service."""
        self.serving = self.root / "version"
        self.serving_artifact(self.serving / "serving", "float32", weights, data=data)
        artifacts.write_json(self.serving / artifacts.LINEAGE, {"version": 3})
        return self.serving

    def evaluate(self, *variants: Path, **section) -> dict:
        """Evaluates, and gives the evaluation."""
        text = json.dumps({"data": self.data.model_dump(mode="json"), "evaluate": section})
        config = EvaluateConfig.model_validate_json(text)
        decision = evaluate(
            list(variants), self.examples, self.serving, config, self.work, self.chosen, self.logged.__setitem__
        )
        evaluation = artifacts.read_json(self.chosen / artifacts.EVALUATION)
        assert evaluation["decision"] == decision
        return evaluation


@pytest.fixture
def room(tmp_path, litert, monkeypatch) -> Room:
    monkeypatch.setenv(artifacts.RUN_VARIABLE, "test")
    monkeypatch.setattr("components.evaluate.latency.ROUND_S", 0.005)
    # A process for each variant takes longer than all the rest; tests/evaluate/test_memory.py starts them.
    monkeypatch.setattr("components.evaluate.measure.memory_bytes", lambda serving, instances: 1_000_000)
    return Room(tmp_path, litert)


@pytest.fixture(scope="session")
def weights() -> dict[str, tuple]:
    return {"good": GOOD, "slightly worse": SLIGHTLY_WORSE, "poor": POOR, "useless": USELESS, "broken": BROKEN}


@pytest.fixture(scope="session")
def data() -> Callable[..., Data]:
    return make_data
