"""A model store with small models of each task, and files of rows for them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

import components.learning.legacy_keras  # noqa: F401
from components.features.category import Category
from components.features.columns import Data
from components.features.cross import Cross
from components.features.datetime import Datetime
from components.features.declaration import Moments, Nothing, Vocabulary
from components.features.numeric import Numeric
from components.features.transform import Transform
from components.store import ModelStore, Version

ODD = 'delay, "felt"'
COLUMNS = {
    "id": "integer",
    "town": "string",
    "hour": "integer",
    ODD: "float",
    "moment": "timestamp",
    "sunny": "boolean",
    "label": "string",
}
TASKS = {
    "binary": {"label": "label", "task": "binary", "classes": ["no", "yes"]},
    "multiclass": {"label": "label", "task": "multiclass", "classes": ["a", "b b", "ç"]},
    "regression": {"label": "hour", "task": "regression"},
}
FEATURES = (
    Numeric(name="felt", column=ODD, indicator=True),
    Numeric(name="sunny", column="sunny", scale="none"),
    Category(name="town", column="town", oov_buckets=2),
    Cross(name="town_sunny", columns=("town", "sunny"), hash_buckets=20),
    Datetime(name="clock", column="moment", parts=("hour",)),
)
LEARNED = {
    "felt": Moments(1.0, 2.0, -5.0, 7.0),
    "sunny": Nothing(),
    "town": Vocabulary(("Ulm", "Ñandú"), (5, 5)),
    "town_sunny": Nothing(),
    "clock": Nothing(),
}


def data_of(task: str) -> Data:
    return Data.model_validate_json(json.dumps({"columns": COLUMNS, "key": ["id"], **TASKS[task]}))


def litert_model(transform: Transform, task: str) -> bytes:
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    floats = tf_keras.Input((len(transform.float_names),), name="floats")
    ids = tf_keras.Input((len(transform.id_names),), name="ids", dtype="int32")
    embedded = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(max(transform.id_sizes), 4)(ids))
    hidden = tf_keras.layers.Dense(8, "relu")(tf_keras.layers.Concatenate()([floats, embedded]))
    outputs, activation = {"binary": (1, "sigmoid"), "multiclass": (3, "softmax"), "regression": (1, None)}[task]
    model = tf_keras.Model({"floats": floats, "ids": ids}, tf_keras.layers.Dense(outputs, activation)(hidden))
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def fill(folder: Path, number: int, task: str, model: bytes) -> None:
    transform = Transform(data_of(task), FEATURES, LEARNED)
    transform.write(folder / "serving")
    spec = {"task": task, "classes": TASKS[task].get("classes"), "recipe": "float32"}
    (folder / "serving" / "serving.json").write_text(json.dumps(spec))
    (folder / "serving" / "model.tflite").write_bytes(model)
    (folder / "lineage.json").write_text(json.dumps({"version": number}))
    (folder / "model.yaml").write_text(yaml.safe_dump({"name": task, "predict": {"columns": ["id"]}}))


@pytest.fixture(scope="session")
def models() -> dict[str, bytes]:
    return {task: litert_model(Transform(data_of(task), FEATURES, LEARNED), task) for task in TASKS}


@pytest.fixture
def work(tmp_path) -> Path:
    return tmp_path / "work é"


@pytest.fixture
def deployed(work, models) -> Callable[[str], Version]:
    """Puts a version of a task's model into service; the model is named after the task."""

    def deploy(task: str = "binary") -> Version:
        store = ModelStore(work, task)
        version = store.add(lambda folder, number: fill(folder, number, task, models[task]))
        store.point("serving", version)
        return version

    return deploy


def rows(count: int, seed: int = 0) -> pa.Table:
    """Rows with what is missing and what no training saw; `id` counts them."""
    random = np.random.default_rng(seed)
    felt = random.normal(1, 2, count)
    return pa.table(
        {
            "id": pa.array(np.arange(count)),
            "town": pa.array(random.choice(np.array(["Ulm", "Ñandú", "Oz", "", None], object), count).tolist()),
            "hour": pa.array(random.integers(0, 24, count)),
            ODD: pa.array(felt, mask=random.random(count) < 0.1),
            "moment": pa.array(random.integers(0, 10**15, count), pa.timestamp("us")),
            "sunny": pa.array(random.choice(np.array([True, False, None], object), count).tolist(), pa.bool_()),
        }
    )
