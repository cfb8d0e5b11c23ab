"""Serving artifacts made of small Keras models, and those models themselves to compare with."""

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import components.learning.legacy_keras  # noqa: F401
from components.features.category import Category
from components.features.columns import Data, RawBatch
from components.features.declaration import Moments, Nothing
from components.features.numeric import Numeric
from components.features.transform import Transform

DATA = Data.model_validate_json(
    '{"columns": {"a": "float", "b": "float", "carrier": "string", "label": "integer"}, "label": "label",'
    ' "task": "binary"}'
)
NUMBERS = (Numeric(name="a", column="a"), Numeric(name="b", column="b"))
CARRIER = (Category(name="carrier", column="carrier", hash_buckets=6),)
FEATURES = {"floats and ids": NUMBERS + CARRIER, "floats": NUMBERS, "ids": CARRIER}
LEARNED = {"a": Moments(1.0, 2.0, -5.0, 7.0), "b": Moments(0.0, 1.0, -3.0, 3.0), "carrier": Nothing()}


@dataclass(frozen=True)
class Made:
    """A serving artifact, and the Keras model's own predictions."""

    folder: Path
    transform: Transform
    expected: Callable[[RawBatch], np.ndarray]


def random_rows(rows: int, seed: int = 0) -> RawBatch:
    random = np.random.default_rng(seed)
    a = random.normal(1, 2, rows).astype(np.float32)
    a[random.random(rows) < 0.1] = np.nan
    return {
        "a": a,
        "b": random.normal(size=rows).astype(np.float32),
        "carrier": random.choice(["", "AA", "UA", "Ñandú"], rows).astype(object),
    }


@pytest.fixture(scope="session")
def raw_batch() -> Callable[..., RawBatch]:
    return random_rows


@pytest.fixture(scope="session")
def make(tmp_path_factory) -> Callable[..., Made]:
    import tensorflow as tf
    import tf_keras

    def network(transform: Transform, outputs: int, activation: str):
        floats = tf_keras.Input((len(transform.float_names),), name="floats")
        ids = tf_keras.Input((len(transform.id_names),), name="ids", dtype="int32")
        inputs, parts = {}, []
        if transform.float_names:
            inputs["floats"] = floats
            parts.append(floats)
        if transform.id_names:
            inputs["ids"] = ids
            parts.append(tf_keras.layers.Flatten()(tf_keras.layers.Embedding(transform.id_sizes[0], 4)(ids)))
        joined = tf_keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
        hidden = tf_keras.layers.Dense(8, "relu", name="hidden")(joined)
        return tf_keras.Model(inputs, tf_keras.layers.Dense(outputs, activation)(hidden))

    def convert(model, recipe: str, transform: Transform) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if recipe == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: representative(model, transform)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()

    def representative(model, transform: Transform):
        floats, ids = transform(random_rows(500))
        for i in range(500):
            every = {"floats": floats[i : i + 1], "ids": ids[i : i + 1]}
            yield {name: every[name] for name in model.input}

    @functools.cache
    def made(inputs="floats and ids", recipe="float32", task="binary") -> Made:
        outputs, activation = {"binary": (1, "sigmoid"), "multiclass": (3, "softmax"), "regression": (1, None)}[task]
        tf_keras.utils.set_random_seed(7)
        transform = Transform(DATA, FEATURES[inputs], LEARNED)
        model = network(transform, outputs, activation)
        folder = tmp_path_factory.mktemp("serving")
        (folder / "model.tflite").write_bytes(convert(model, recipe, transform))
        transform.write(folder)
        classes = {"binary": [0, 1], "multiclass": ["x", "y", "z"], "regression": []}[task]
        (folder / "serving.json").write_text(json.dumps({"task": task, "classes": classes, "recipe": recipe}))

        def expected(raw: RawBatch) -> np.ndarray:
            every = dict(zip(("floats", "ids"), transform(raw)))
            output = model({name: every[name] for name in model.input}).numpy()
            return output if task == "multiclass" else output[:, 0]

        return Made(folder, transform, expected)

    return made


@pytest.fixture(scope="session")
def binary(make) -> Made:
    return make()


@pytest.fixture(scope="session")
def fails_at_run() -> bytes:
    """A LiteRT model that loads, and fails when it runs: it looks up row -1 for the id 0."""
    import tensorflow as tf

    module = tf.Module()
    module.table = tf.constant([[0.1], [0.2]])

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.int32, name="ids")])
    def forward(ids):
        return tf.gather(module.table, ids[:, 0] - 1)

    return tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()], module).convert()


@pytest.fixture
def copied(binary, tmp_path) -> Path:
    """A serving artifact that a test may damage."""
    return Path(shutil.copytree(binary.folder, tmp_path / "serving"))
