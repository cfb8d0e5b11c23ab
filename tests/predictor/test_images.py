"""Images as they are served: decoded, quantized and predicted without TensorFlow."""

import base64
import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from components.compress.compress import compress
from components.compress.config import Recipe
from components.errors import UserError
from components.features.pixels import Pixels
from components.features.reader import InstanceReader
from components.predictor.model import Model
from components.predictor.predictor import Predictor
from tests.learning.photos import SHAPE, make_transform, predict, raw_rows, write_examples, write_model

RECIPES = ["float32", "int8", "int8_float_io"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def network(root):
    return write_model(root / "model", make_transform(), write_examples(root / "examples", make_transform()))


@pytest.fixture(scope="module")
def serving(root, network):
    """The serving artifact of a recipe, made once."""

    def of(recipe):
        folder = root / recipe
        if not folder.exists():
            compress(root / "model", root / "examples", Recipe(names=(recipe,)), root, folder)
        return folder / "serving"

    return of


@pytest.mark.parametrize("recipe", RECIPES)
def test_predictions_are_those_of_the_network(serving, network, recipe) -> None:
    raw = raw_rows(100, seed=5)
    expected = predict(network, make_transform(), raw)
    found = Predictor.load(serving(recipe)).predict(raw)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= (1e-5 if recipe == "float32" else 0.05)


def test_int8_inputs_are_quantized_as_the_model_says(serving) -> None:
    raw = raw_rows(1, seed=6)
    packed = dict(zip(("floats", "ids", "images"), make_transform()(raw)))
    packed["images"] = packed["images"].astype(np.float32) * np.float32(1 / 255)
    interpreter = Interpreter(str(serving("int8") / "model.tflite"))
    interpreter.allocate_tensors()
    kinds = {}
    for tensor in interpreter.get_input_details():
        name = next(name for name in packed if name in tensor["name"])
        kinds[name] = tensor["dtype"]
        scale, zero_point = tensor["quantization"]
        values = packed[name]
        if scale:
            values = np.clip(np.round(values / np.float32(scale)) + zero_point, -128, 127)
        interpreter.set_tensor(tensor["index"], values.astype(tensor["dtype"]))
    interpreter.invoke()
    output = interpreter.get_output_details()[0]
    scale, zero_point = output["quantization"]
    expected = (interpreter.get_tensor(output["index"]).astype(np.float32) - zero_point) * np.float32(scale)
    assert kinds == {"floats": np.int8, "ids": np.int32, "images": np.int8}
    np.testing.assert_array_equal(Predictor.load(serving("int8")).predict(raw), expected)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("rows", [1, 2, 3, 64, 65, 280])
def test_any_number_of_rows_in_any_form_is_predicted_alike(serving, recipe, rows) -> None:
    predictor, raw = Predictor.load(serving(recipe)), raw_rows(rows, seed=rows)
    values = [
        tuple(None if value == "" or value == b"" else value for value in row)
        for row in zip(*(raw[name].tolist() for name in predictor.source_columns))
    ]
    one_by_one = np.concatenate([predictor.predict_rows([row]) for row in values[:40]])
    whole = predictor.predict(raw)
    np.testing.assert_allclose(predictor.predict_rows(values), whole, atol=1e-5)
    np.testing.assert_allclose(one_by_one, whole[:40], atol=1e-5 if recipe == "float32" else 0.01)


def test_large_images_are_predicted_a_few_at_a_time(serving, monkeypatch) -> None:
    raw = raw_rows(50, seed=2)
    expected = Predictor.load(serving("float32")).predict(raw)
    pixels = SHAPE[0] * SHAPE[1]
    monkeypatch.setattr("components.predictor.predictor.MAX_PIXELS", 20 * pixels)
    monkeypatch.setattr("components.predictor.model.MAX_FIXED_PIXELS", 2 * pixels)
    sizes: list[int] = []
    run = Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda *call: (sizes.append(call[2]), run(*call))[1])
    predictor = Predictor.load(serving("float32"))
    sizes.clear()
    np.testing.assert_allclose(predictor.predict(raw), expected, atol=1e-5)
    assert sizes == [20, 20, 10]
    assert list(predictor._model._fixed) == [1, 2]
    decoded: list[int] = []
    read = Pixels.__call__
    monkeypatch.setattr(Pixels, "__call__", lambda *call: (decoded.append(len(call[1])), read(*call))[1])
    predictor.predict(raw)
    predictor.predict_rows([(photo, None, None) for photo in raw["photo"]])
    assert decoded == [20, 20, 10] * 2


def test_a_request_brings_images_in_base64(serving) -> None:
    predictor, raw = Predictor.load(serving("float32")), raw_rows(9, seed=1)
    reader = InstanceReader(predictor.transform.data, predictor.source_columns)
    instances = [
        {"photo": base64.b64encode(photo).decode(), "size": float(size), "town": town}
        for photo, size, town in zip(raw["photo"], raw["size"], raw["town"])
    ]
    np.testing.assert_allclose(predictor.predict_rows(reader.from_json(instances)), predictor.predict(raw), atol=1e-6)


def test_a_model_of_other_images_is_refused(serving, tmp_path) -> None:
    import shutil

    folder = shutil.copytree(serving("float32"), tmp_path / "serving")
    described = json.loads((folder / "features.json").read_text())
    described["features"][0]["height"] += 1
    (folder / "features.json").write_text(json.dumps(described))
    with pytest.raises(
        UserError, match=r"takes images of \(8, 12, 3\), but the transform beside it gives \(9, 12, 3\)"
    ):
        Predictor.load(folder)
