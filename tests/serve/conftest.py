"""Small models, and servers in processes of their own."""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from components.features.transform import Transform
from components.serve.launch import ServerProcess
from tests.serve.small import DATA, FEATURES, LEARNED, Made, deploy


@pytest.fixture(scope="session")
def make(tmp_path_factory) -> Callable[..., Made]:
    """Makes a serving artifact, each once; models with other biases answer otherwise, `layers` make it slow."""
    transform = Transform(DATA, FEATURES, LEARNED)

    @functools.cache
    def made(*, bias: float = 0.0, layers: int = 0, classes: int = 0) -> Made:
        folder = tmp_path_factory.mktemp("serving")
        transform.write(folder)
        (folder / "model.tflite").write_bytes(_network(transform, bias, layers, classes))
        spec = {
            "task": "multiclass" if classes else "binary",
            "classes": ["x", "y", "z"] if classes else [0, 1],
            "recipe": "float32",
        }
        (folder / "serving.json").write_text(json.dumps(spec))
        return Made(folder)

    return made


def _network(transform: Transform, bias: float, layers: int, classes: int) -> bytes:
    import components.learning.legacy_keras  # noqa: F401, I001
    import tensorflow as tf

    random = np.random.default_rng(5)
    module = tf.Module()
    floats, ids, outputs = len(transform.float_names), len(transform.id_names), classes or 1
    module.first = tf.constant(random.normal(size=(floats + ids, outputs)).astype(np.float32) * 0.3)
    module.square = tf.constant(random.normal(size=(1024, 1024)).astype(np.float32) / 1024**0.5)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, floats], tf.float32, name="floats"),
            tf.TensorSpec([None, ids], tf.int32, name="ids"),
        ]
    )
    def forward(floats, ids):
        joined = tf.concat([floats, tf.cast(ids, tf.float32)], axis=1)
        logits = tf.matmul(joined, module.first) + bias
        wide = tf.tile(logits[:, :1], [1, 1024])
        for _ in range(layers):
            wide = tf.tanh(tf.matmul(wide, module.square))
        logits += 0.001 * wide[:, :1] if layers else 0.0
        return tf.nn.softmax(logits) if classes else tf.sigmoid(logits)

    return tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()], module).convert()


@pytest.fixture(scope="session")
def low(make) -> Made:
    return make(bias=-2.0)


@pytest.fixture(scope="session")
def high(make) -> Made:
    return make(bias=2.0)


@pytest.fixture(scope="session")
def dear_low(make) -> Made:
    """Takes so long a row that the cache pays, and not so long that it blocks."""
    return make(bias=-2.0, layers=2)


@pytest.fixture(scope="session")
def dear_high(make) -> Made:
    return make(bias=2.0, layers=2)


@pytest.fixture(scope="session")
def slow(make) -> Made:
    """Takes several milliseconds a row."""
    return make(layers=30)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that end with the test."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def started(*arguments: Any) -> ServerProcess:
            server = ServerProcess(list(arguments), tmp_path / f"server-{next(numbers)}.log")
            return stack.enter_context(server)

        yield started


@pytest.fixture(scope="session")
def server(low, tmp_path_factory) -> Iterator[ServerProcess]:
    """A server of one model that no test changes."""
    work = tmp_path_factory.mktemp("work")
    deploy(work, "small", low, max_instances=50, log_share=0.0)
    with ServerProcess(["--work", work, "--max-body-bytes", "200000"], work / "server.log") as process:
        yield process


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as opened:
        yield opened
