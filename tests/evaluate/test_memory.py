"""Memory is measured in a process of its own, and tells a large model from a small one."""

import errno
from pathlib import Path

import numpy as np
import pytest

from components.evaluate import memory
from components.evaluate.memory import memory_bytes

INSTANCES = [{"x": float(index), "noise": 0.5} for index in range(256)]


def test_a_process_of_its_own_tells_what_is_added(room, weights):
    room.serving_artifact(room.root / "small", "float32", weights["good"])
    small = memory_bytes(room.root / "small", INSTANCES)
    assert 100_000 < small < 50_000_000
    ballast = np.zeros(20_000_000, np.uint8)  # of this process, which is not counted
    ballast[:] = 1
    assert memory_bytes(room.root / "small", INSTANCES) == pytest.approx(small, rel=0.2)


def large_model(path: Path) -> None:
    """Replaces a model by one of about 4 MB that takes the same inputs."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    first, second = (tf.constant(random.normal(size=shape), tf.float32) for shape in ((2, 1000), (1000, 1000)))

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="floats")])
    def forward(floats):
        return {"prediction": tf.sigmoid(tf.reduce_mean(tf.nn.relu(floats @ first) @ second, axis=1, keepdims=True))}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()])
    path.write_bytes(converter.convert())


def test_a_large_model_adds_its_size(room, weights):
    for name in ("small", "large"):
        room.serving_artifact(room.root / name, "float32", weights["good"])
    large_model(room.root / "large" / "model.tflite")
    size = (room.root / "large" / "model.tflite").stat().st_size
    assert memory_bytes(room.root / "large", INSTANCES) > memory_bytes(room.root / "small", INSTANCES) + size


def test_what_cannot_be_told_is_none_and_the_log_says_why(room, weights, monkeypatch, tmp_path, caplog):
    room.serving_artifact(room.root / "small", "float32", weights["good"])
    assert memory_bytes(tmp_path / "missing", INSTANCES) is None
    assert "missing" in caplog.messages[-1] and "UserError" in caplog.messages[-1]
    monkeypatch.setattr(memory, "PATIENCE_S", 0.01)
    assert memory_bytes(room.root / "small", INSTANCES) is None
    assert "timed out after 0.01 seconds" in caplog.messages[-1]

    def no_memory(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(memory.subprocess, "run", no_memory)
    assert memory_bytes(room.root / "small", INSTANCES) is None
    assert "Cannot allocate memory" in caplog.messages[-1]
