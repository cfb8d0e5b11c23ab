import importlib

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.compress import litert
from components.compress.candidate import Candidate
from components.compress.compress import compress, try_out
from components.compress.config import FORMATS, Recipe
from components.compress.source import Source
from components.errors import UserError
from components.features.transform import Transform
from components.learning import networks, weights
from components.learning.config import Dcn, WideDeep
from components.learning.legacy_keras import tf, tf_keras
from components.predictor.predictor import Predictor
from tests.learning.small import make_transform, raw_rows, write_examples

MEAN_ERROR = {"float32": 1e-4, "float16": 0.01, "dynamic": 0.05, "int8": 0.15, "int8_float_io": 0.15}
"""Largest mean difference from the network, as a share of the spread of its predictions."""
CASES = {
    "wide_deep": ("binary", "both", WideDeep(hidden=(64, 32))),
    "dcn": ("multiclass", "both", Dcn(hidden=(32,))),
    "only ids": ("binary", "ids", WideDeep(hidden=(16,))),
    "only floats": ("regression", "floats", WideDeep(hidden=(16,))),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """The examples and the model of a case, made once; its weights are random, and large enough to matter."""
    made = {}

    def of(case):
        if case not in made:
            made[case] = tmp_path_factory.mktemp(case.replace(" ", "-"))
            write_model(made[case], *CASES[case])
        return made[case]

    return of


def write_model(root, task, use, network):
    transform = make_transform(task, use)
    spec = networks.NetworkSpec.of(network, write_examples(root / "examples", transform, shards=1))
    (root / "model").mkdir()
    tf_keras.utils.set_random_seed(0)
    built = networks.build(spec)
    weights.add_optimizer(built)
    random = np.random.default_rng(0)
    built.set_weights([weight + random.normal(0, 0.2, weight.shape) for weight in built.get_weights()])
    weights.save(built, root / "model")
    spec.write(root / "model")
    transform.write(root / "model")


@pytest.fixture(scope="module")
def variant(make):
    """A variant of a case, made once."""

    def of(case, recipe):
        root = make(case)
        folder = root / recipe
        if not folder.exists():
            compress(root / "model", root / "examples", Recipe(names=(recipe,)), root / "work", folder)
        return folder

    return of


def expected(model, raw) -> np.ndarray:
    """What the trained network gives for raw rows."""
    network = networks.build(networks.NetworkSpec.read(model))
    weights.load(network, model)
    floats, ids = Transform.read(model)(raw)
    output = network({name: value for name, value in (("floats", floats), ("ids", ids)) if value.shape[1]}).numpy()
    return output[:, 0] if output.shape[1] == 1 else output


NIGHTLY = [
    (case, recipe) for case in CASES if case != "wide_deep" for recipe in ("float16", "dynamic", "int8_float_io")
]


@pytest.mark.parametrize(
    ("case", "recipe"),
    [
        pytest.param(case, recipe, marks=pytest.mark.nightly if (case, recipe) in NIGHTLY else ())
        for case in CASES
        for recipe in FORMATS
    ],
)
def test_a_variant_predicts_from_raw_rows_as_the_network_does(make, variant, case, recipe):
    predictor = Predictor.load(variant(case, recipe) / "serving")
    raw = raw_rows(300)
    wanted = expected(make(case) / "model", raw)
    got = predictor.predict(raw)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).mean() < MEAN_ERROR[recipe] * wanted.std()
    for rows in (1, 7):
        few = predictor.predict({name: values[:rows] for name, values in raw.items()})
        assert few == pytest.approx(got[:rows], abs=1e-4)


def test_a_variant_says_what_it_is(make, variant):
    folder = variant("wide_deep", "dynamic")
    spec = artifacts.read_json(folder / "serving" / "serving.json")
    floats, ids = len(make_transform().float_names), len(make_transform().id_names)
    assert spec == {
        "task": "binary", "classes": [0, 1], "float_width": floats, "id_count": ids, "recipe": "dynamic",
        "inputs": ["floats", "ids"],
    }  # fmt: skip
    described = artifacts.read_json(folder / "variant.json")
    assert described["recipe"] == "dynamic" and described["seconds"] > 0
    assert described["bytes"] == (folder / "serving" / "model.tflite").stat().st_size
    assert described["parameters"] > 0 and 0 <= described["sparsity"] < 0.1 and described["history"] == []
    made = described["made"]
    assert made["seconds"] > 0 and made["examples"] == 0 and made["cost"] is None
    details = artifacts.read_records(folder)["compress-dynamic"].details
    assert details == described


@pytest.mark.parametrize(("recipe", "border"), [("int8", np.int8), ("int8_float_io", np.float32)])
def test_the_border_of_integers_is_as_named(variant, recipe, border):
    interpreter = Interpreter(model_path=str(variant("wide_deep", recipe) / "serving" / "model.tflite"))
    types = {tensor["name"].split(":")[0]: tensor["dtype"] for tensor in interpreter.get_input_details()}
    assert types == {"serving_default_floats": border, "serving_default_ids": np.int32}
    assert interpreter.get_output_details()[0]["dtype"] is border


def test_int8_computes_in_int8_and_smaller_recipes_are_smaller(variant):
    sizes = {}
    for recipe in FORMATS:
        model = variant("wide_deep", recipe) / "serving" / "model.tflite"
        sizes[recipe] = model.stat().st_size
    assert sizes["float16"] < sizes["float32"] and sizes["dynamic"] < sizes["float32"]
    interpreter = Interpreter(model_path=str(model))
    types = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    products = [each for each in interpreter._get_ops_details() if each["op_name"] == "FULLY_CONNECTED"]
    assert products and {types[index] for each in products for index in each["outputs"]} == {np.int8}


@pytest.mark.parametrize("damage", [lambda content: b"no model", lambda content: content[: len(content) // 2]])
def test_a_model_that_does_not_load_is_refused_by_name(make, variant, damage):
    content = (variant("wide_deep", "float32") / "serving" / "model.tflite").read_bytes()
    spec = networks.NetworkSpec.read(make("wide_deep") / "model")
    try_out(content, spec, "float32")
    with pytest.raises(UserError, match="variant float32 does not run"):
        try_out(damage(content), spec, "float32")


def unloadable(_source):
    return tf.lite.TFLiteConverter.from_concrete_functions([ragged_function()]).convert()


def ragged_function():
    """A model that LiteRT converts, and that runs with one row only."""
    whole = tf.function(lambda floats: tf.reshape(floats, [1, 3]))
    return whole.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, "floats"))


def refused(_source):
    raise litert.ConverterError("an operation is neither custom nor builtin " * 100)


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (refused, "variant float16 cannot be converted (an operation"),
        (unloadable, "variant float16 does not run ("),
    ],
)
def test_a_variant_that_cannot_be_made_says_why_and_has_nothing_to_serve(make, tmp_path, monkeypatch, convert, said):
    root, folder = make("wide_deep"), tmp_path / "variant"
    monkeypatch.setattr("components.compress.float16.convert", convert)
    compress(root / "model", root / "examples", Recipe(names=("float16",)), root / "work", folder)
    described = artifacts.read_json(folder / "variant.json")
    assert described.keys() == {"recipe", "seconds", "error"} and described["recipe"] == "float16"
    assert described["error"].startswith(said) and len(described["error"]) < 600 and "\n" not in described["error"]
    assert not (folder / "serving").exists()
    assert artifacts.read_records(folder)["compress-float16"].status == "done"
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("recipe", FORMATS)
def test_a_stripped_model_is_smaller_and_predicts_the_same_bit_for_bit(make, variant, recipe):
    root = make("wide_deep")
    module = importlib.import_module(f"components.compress.{recipe}")
    before = module.convert(Source(Candidate.read(root / "model"), root / "examples"))
    after = (variant("wide_deep", recipe) / "serving" / "model.tflite").read_bytes()
    assert litert.stripped(before) == after == litert.stripped(after)
    assert len(after) < len(before) - 1000
    assert litert.count(after) == litert.count(before)
    assert np.array_equal(output_of(after), output_of(before))


def output_of(content) -> np.ndarray:
    """What a model gives for 100 random rows."""
    interpreter, random = Interpreter(model_content=content, num_threads=1), np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        interpreter.resize_tensor_input(tensor["index"], (100, *tensor["shape"][1:]))
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        low, high = (-100, 100) if tensor["dtype"] is np.int8 else (-2, 2) if "floats" in tensor["name"] else (0, 3)
        values = random.uniform(low, high, tensor["shape"]).astype(tensor["dtype"])
        interpreter.set_tensor(tensor["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_the_weights_of_the_served_model_are_counted(make, variant, recipe):
    candidate = Candidate.read(make("wide_deep") / "model")
    matrices = [value for value in candidate.state().values() if value.ndim > 1]
    found = litert.count((variant("wide_deep", recipe) / "serving" / "model.tflite").read_bytes())
    assert found.parameters == sum(matrix.size for matrix in matrices)
    assert found.zeros == 0 if recipe == "float32" else 0 < found.zeros < found.parameters * 0.1  # by rounding
