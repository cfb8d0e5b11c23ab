import json

import pytest

from components.compress.config import FORMATS, Compress, Distilled, Pruned, Recipe, check_compress
from components.errors import UserError
from components.learning.config import Convolutional, Linear, Mlp, Network
from components.learning.fitting import Fitting
from components.schema import parse

EVERY = (*FORMATS, "pruned", "low_rank", "distilled", "quantization_aware", ("pruned", "dynamic"))


def recipes(compress: Compress, fitting: Fitting = Fitting()) -> dict[str, str]:  # noqa: B008
    return {parse(Recipe, text).name: text for text in compress.recipe_jsons(fitting)}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["int8", "int4"], r'recipes\.1 is "int4"'),
        ([["low_rank", "int4"]], r'recipes\.0\.1 is "int4"'),
        (["int8", "int8"], "names a recipe twice"),
        (["pruned_int8", ["pruned", "int8"]], "names a recipe twice"),
        (["low_rank", ["low_rank", "float32"]], "names a recipe twice"),
        ([[]], "at least 1 item"),
        ([["int8", "pruned"]], r"\[int8, pruned\] must name one format at most, and last"),
        ([["int8", "float16"]], "one format at most"),
        ([["pruned", "pruned_int8"]], "names pruned twice"),
        ([["pruned", "low_rank", "int8"]], r"write \[low_rank, pruned, int8\]"),
        ([["low_rank", "distilled"]], r"write \[distilled, low_rank\]"),
        ([["quantization_aware", "pruned"]], r"write \[pruned, quantization_aware\]"),
        ([["quantization_aware", "dynamic"]], "end it with int8 or int8_float_io, not dynamic"),
    ],
)
def test_recipes_that_cannot_be_are_refused(entries, said):
    with pytest.raises(UserError, match=said):
        parse(Compress, json.dumps({"recipes": entries}))


@pytest.mark.parametrize(
    ("entry", "name", "last"),
    [
        ("low_rank", "low_rank", "float32"),
        ("quantization_aware", "quantization_aware", "int8_float_io"),
        ("pruned_int8", "pruned+int8", "int8"),
        (["low_rank", "pruned_int8"], "low_rank+pruned+int8", "int8"),
        (["pruned", "quantization_aware", "int8_float_io"], "pruned+quantization_aware+int8_float_io", "int8_float_io"),
    ],
)
def test_a_recipe_has_a_name_and_ends_in_a_format(entry, name, last):
    (text,) = parse(Compress, json.dumps({"recipes": [entry]})).recipe_jsons(Fitting())
    recipe = parse(Recipe, text)
    assert (recipe.name, recipe.format) == (name, last)


def test_adding_a_recipe_changes_no_other():
    assert set(recipes(Compress(recipes=("float32", "pruned"))).items()) < set(recipes(Compress(recipes=EVERY)).items())


def test_a_recipe_reads_only_what_it_needs():
    before = recipes(Compress(recipes=EVERY))
    pruned = recipes(Compress(recipes=EVERY, pruned=Pruned(sparsity=0.5)))
    assert {name for name in before if before[name] != pruned[name]} == {"pruned", "pruned+dynamic"}
    seed = recipes(Compress(recipes=EVERY), Fitting(seed=1))
    assert {name for name in before if before[name] == seed[name]} == set(FORMATS)


def test_the_train_section_travels_only_as_far_as_it_is_shared():
    from components.train.config import Train

    compress = Compress(recipes=("pruned",))
    assert recipes(compress, Train(workers=3, strategy="multi_worker")) == recipes(compress)


def test_a_linear_network_has_no_student():
    compress = Compress(recipes=("int8", ("distilled", "int8")))
    check_compress(compress, Mlp())
    with pytest.raises(ValueError, match="remove distilled"):
        check_compress(compress, Linear())


@pytest.mark.parametrize(
    ("network", "settings", "said"),
    [
        (Mlp(), {"filters": (8,)}, "a network of kind mlp has no convolutions; remove it"),
        (Mlp(hidden=(64, 32)), {"hidden": (128,)}, r"hidden is \[128\], but network.hidden is \[64, 32\]"),
        (Mlp(hidden=(64,)), {"hidden": (32, 16)}, "no more layers, and none wider"),
        (Mlp(hidden=(64,)), {"hidden": (64,), "max_embedding_width": 32}, "as large as the network"),
        (Convolutional(), {"filters": (32, 65)}, "network.filters is"),
        (Convolutional(), {"filters": (8,) * 8}, "no more layers"),
        (Convolutional(), {"filters": (32,)}, "must have 2 numbers"),
    ],
)
def test_a_student_that_is_not_smaller_is_refused(network: Network, settings, said):
    compress = Compress(recipes=("distilled",), distilled=Distilled(**settings))
    with pytest.raises(ValueError, match=said):
        check_compress(compress, network)
    check_compress(Compress(distilled=compress.distilled), network)


def test_a_smaller_student_is_taken():
    given = Distilled(hidden=(64,), filters=(32, 8), max_embedding_width=64)
    check_compress(Compress(recipes=("distilled",), distilled=given), Convolutional())
    check_compress(Compress(recipes=("distilled",), distilled=Distilled(hidden=(128, 64))), Mlp())
