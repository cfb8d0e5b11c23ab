import json

import pytest

from components.learning.course import Epoch
from components.learning.legacy_keras import tf
from components.learning.tensorboard import Watcher

CONFIG = json.dumps({"train": {"epochs": 3}}, indent=1)
EPOCHS = [Epoch(1, 0.5, 0.75, 0.625, 2.0, 1000), Epoch(2, 0.25, 0.5, 0.75, 4.0, 1000)]
CURVES = {
    "loss": [0.5, 0.25],
    "validation loss": [0.75, 0.5],
    "validation auc": [0.625, 0.75],
    "examples per second": [500.0, 250.0],
}


def write(folder, epochs) -> None:
    with Watcher(folder, "auc", CONFIG) as watch:
        for epoch in epochs:
            watch(epoch)


def events(folder) -> list:
    (file,) = folder.iterdir()
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    return [tf.compat.v1.Event.FromString(record) for record in records]


def curves(folder) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def expected() -> dict[str, list[tuple[int, float]]]:
    axes = {"by epoch": [1, 2], "by examples": [1000, 2000]}
    return {
        f"{axis}/{name}": list(zip(steps, values)) for axis, steps in axes.items() for name, values in CURVES.items()
    }


def test_each_curve_is_written_by_epoch_and_by_examples_seen(tmp_path):
    write(tmp_path / "logs", EPOCHS)
    assert curves(tmp_path / "logs") == expected()


def test_an_epoch_can_be_read_while_training_goes_on(tmp_path):
    watch = Watcher(tmp_path, "auc", CONFIG)
    watch(EPOCHS[0])
    assert curves(tmp_path)["by epoch/loss"] == [(1, 0.5)]


def test_a_training_that_goes_on_draws_no_epoch_twice(tmp_path):
    Watcher(tmp_path, "auc", CONFIG)(EPOCHS[0])  # killed: never closed
    write(tmp_path, EPOCHS)
    assert curves(tmp_path) == expected()


def test_what_it_trains_is_shown_as_text(tmp_path):
    write(tmp_path, [])
    (value,) = [value for event in events(tmp_path) for value in event.summary.value]
    assert (value.tag, value.metadata.plugin_data.plugin_name) == ("config", "text")
    assert CONFIG in value.tensor.string_val[0].decode()


def test_an_epoch_without_time_has_no_speed(tmp_path):
    write(tmp_path, [Epoch(1, 0.5, 0.75, 0.625, 0.0, 1000)])
    assert curves(tmp_path)["by epoch/examples per second"] == [(1, 0.0)]


def test_tensorboard_reads_the_curves(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_accumulator")
    Watcher(tmp_path, "auc", CONFIG)(EPOCHS[0])
    reader = accumulators.EventAccumulator(str(tmp_path)).Reload()  # looks while the training is killed and goes on
    write(tmp_path, EPOCHS)
    reader.Reload()
    for tag, points in expected().items():
        read = [(event.step, event.tensor_proto.float_val[0]) for event in reader.Tensors(tag)]
        assert read == points
    assert reader.SummaryMetadata("config").plugin_data.plugin_name == "text"
