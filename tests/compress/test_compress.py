import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.compress.compress import compress, try_out
from components.compress.config import RECIPES, Compress, Recipe
from components.errors import UserError
from components.features.transform import Transform
from components.learning import networks, weights
from components.learning.config import Dcn, WideDeep
from components.learning.legacy_keras import tf_keras
from components.predictor.predictor import Predictor
from components.schema import parse
from tests.learning.small import make_transform, raw_rows, write_examples

MEAN_ERROR = {"float32": 1e-4, "float16": 0.01, "dynamic": 0.05, "int8": 0.15}
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
            compress(root / "model", root / "examples", Recipe(name=recipe), root / "work", folder)
        return folder

    return of


def expected(model, raw) -> np.ndarray:
    """What the trained network gives for raw rows."""
    network = networks.build(networks.NetworkSpec.read(model))
    weights.load(network, model)
    floats, ids = Transform.read(model)(raw)
    output = network({name: value for name, value in (("floats", floats), ("ids", ids)) if value.shape[1]}).numpy()
    return output[:, 0] if output.shape[1] == 1 else output


NIGHTLY = [(case, recipe) for case in CASES if case != "wide_deep" for recipe in ("float16", "dynamic")]


@pytest.mark.parametrize(
    ("case", "recipe"),
    [
        pytest.param(case, recipe, marks=pytest.mark.nightly if (case, recipe) in NIGHTLY else ())
        for case in CASES
        for recipe in RECIPES
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
    details = artifacts.read_records(folder)["compress-dynamic"].details
    assert details == described


def test_int8_computes_in_int8_and_smaller_recipes_are_smaller(variant):
    sizes = {}
    for recipe in RECIPES:
        model = variant("wide_deep", recipe) / "serving" / "model.tflite"
        sizes[recipe] = model.stat().st_size
    assert sizes["float16"] < sizes["float32"] and sizes["dynamic"] < sizes["float32"]
    details = Interpreter(model_path=str(model)).get_tensor_details()
    products = [tensor for tensor in details if "MatMul" in tensor["name"] and len(tensor["shape"]) == 2]
    assert products and {tensor["dtype"] for tensor in products} == {np.int8}


@pytest.mark.parametrize("damage", [lambda content: b"no model", lambda content: content[: len(content) // 2]])
def test_a_model_that_does_not_load_is_refused_by_name(make, variant, damage):
    content = (variant("wide_deep", "float32") / "serving" / "model.tflite").read_bytes()
    spec = networks.NetworkSpec.read(make("wide_deep") / "model")
    try_out(content, spec, "float32")
    with pytest.raises(UserError, match="variant float32 does not run"):
        try_out(damage(content), spec, "float32")


def test_a_failed_variant_leaves_nothing(make, tmp_path, monkeypatch):
    root = make("wide_deep")
    monkeypatch.setattr("components.compress.float16.convert", lambda source: b"no model")
    with pytest.raises(UserError, match="variant float16 does not run"):
        compress(root / "model", root / "examples", Recipe(name="float16"), root / "work", tmp_path / "variant")
    assert not (tmp_path / "variant").exists()


def test_unknown_and_repeated_recipes_are_refused():
    with pytest.raises(UserError, match=r"recipes\.1 is \"int4\""):
        parse(Compress, '{"recipes": ["int8", "int4"]}')
    with pytest.raises(UserError, match="names a recipe twice"):
        parse(Compress, '{"recipes": ["int8", "int8"]}')
    with pytest.raises(UserError, match='name is "int4"'):
        parse(Recipe, '{"name": "int4"}')


def test_adding_a_recipe_changes_no_other():
    assert set(Compress(recipes=("float32",)).recipe_jsons) < set(Compress().recipe_jsons)
    assert [parse(Recipe, text).name for text in Compress().recipe_jsons] == list(RECIPES)
