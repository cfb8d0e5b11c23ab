"""Predictor gives what the Keras model gives, whatever the batch, the inputs and the quantisation."""

import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from components.errors import UserError
from components.predictor.predictor import Predictor

INPUTS = ["floats and ids", "floats", "ids"]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("recipe, tolerance", [("float32", 1e-6), ("int8", 0.03)])
def test_predicts_as_keras_does(make, raw_batch, inputs, recipe, tolerance):
    made = make(inputs, recipe)
    raw = raw_batch(500)
    predicted = Predictor.load(made.folder).predict(raw)
    assert predicted.shape == (500,) and predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, made.expected(raw), atol=tolerance)


@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize("task, shape", [("multiclass", (50, 3)), ("regression", (50,))])
def test_the_task_gives_the_shape(make, raw_batch, recipe, task, shape):
    made = make(recipe=recipe, task=task)
    raw = raw_batch(50)
    predicted = Predictor.load(made.folder).predict(raw)
    assert predicted.shape == shape and predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, made.expected(raw), atol=1e-5 if recipe == "float32" else 0.05)


@pytest.mark.parametrize("size", [1, 7, 4096, 4097])
def test_a_row_does_not_depend_on_its_batch(binary, raw_batch, size):
    predictor = Predictor.load(binary.folder)
    raw = raw_batch(4097)
    alone = predictor.predict({name: values[:1] for name, values in raw.items()})
    together = predictor.predict({name: values[:size] for name, values in raw.items()})
    assert together.shape == (size,)
    np.testing.assert_allclose(together, binary.expected(raw)[:size], atol=1e-6)
    np.testing.assert_allclose(alone, together[:1], atol=1e-6)


@pytest.mark.parametrize("task, shape", [("binary", (0,)), ("multiclass", (0, 3))])
def test_no_rows_give_no_predictions(make, raw_batch, task, shape):
    assert Predictor.load(make(task=task).folder).predict(raw_batch(0)).shape == shape


def test_values_beyond_the_int8_range_saturate(make, raw_batch):
    predictor = Predictor.load(make("floats", "int8").folder)
    raw = {**raw_batch(2), "b": np.array([1e4, 1e30], np.float32), "a": np.array([1, 1], np.float32)}
    predicted = predictor.predict(raw)
    assert predicted[0] == predicted[1]
    assert 0 <= predicted[0] <= 1


def test_reads_what_serving_json_says(make):
    predictor = Predictor.load(make(task="multiclass").folder)
    assert (predictor.task, predictor.classes, predictor.recipe) == ("multiclass", ("x", "y", "z"), "float32")
    assert predictor.source_columns == ("a", "b", "carrier")


def test_threads_may_share_a_predictor(binary, raw_batch):
    predictor = Predictor.load(binary.folder)
    batches = [raw_batch(size, seed=size) for size in (1, 3, 64, 500)]
    expected = [predictor.predict(raw) for raw in batches]
    wrong = []

    def work(index: int) -> None:
        try:
            for _ in range(200):
                np.testing.assert_array_equal(predictor.predict(batches[index]), expected[index])
        except Exception as error:
            wrong.append(error)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval_s)
    assert wrong == []


@pytest.mark.parametrize("name", ["model.tflite", "serving.json", "features.json", "constants.json"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        Predictor.load(copied)


@pytest.mark.parametrize("name", ["model.tflite", "serving.json", "features.json", "constants.json"])
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty", "cut"])
def test_a_damaged_file_is_named(copied, name, share):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=name):
        Predictor.load(copied)


def test_a_model_that_fails_when_it_runs_is_named(make, fails_at_run, tmp_path):
    folder = shutil.copytree(make("ids").folder, tmp_path / "serving")
    (folder / "model.tflite").write_bytes(fails_at_run)
    with pytest.raises(UserError, match=r"model\.tflite cannot be run \(.*gather index out of bounds"):
        Predictor.load(folder)


@pytest.mark.parametrize("content", [b"[1, 2]", b"null", b'"text"', b'{"task": "binary"}'])
def test_a_serving_json_of_the_wrong_form_is_named(copied, content):
    (copied / "serving.json").write_bytes(content)
    with pytest.raises(UserError, match=r"serving\.json"):
        Predictor.load(copied)


def test_a_transform_of_another_model_is_refused(make, copied):
    for name in ("features.json", "constants.json"):
        (copied / name).write_bytes((make("floats").folder / name).read_bytes())
    with pytest.raises(UserError, match="takes 1 ids, but the transform beside it gives 0"):
        Predictor.load(copied)


def test_a_task_that_does_not_fit_the_model_is_refused(copied):
    spec = json.loads((copied / "serving.json").read_text())
    (copied / "serving.json").write_text(json.dumps({**spec, "task": "multiclass", "classes": [1, 2, 3]}))
    with pytest.raises(UserError, match="gives 1 outputs, but multiclass needs 3"):
        Predictor.load(copied)


def test_needs_no_tensorflow(binary):
    code = (
        "import sys; from pathlib import Path; from components.predictor.predictor import Predictor;"
        "Predictor.load(Path(sys.argv[1]));"
        "print(sorted({'tensorflow', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, binary.folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
