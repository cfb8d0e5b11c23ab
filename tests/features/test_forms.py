"""The TensorFlow form and the plain form of every kind give the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.features.columns import MISSING_INTEGER
from components.features.declaration import Moments, Nothing, Vocabulary
from components.features.prepare_tf import prepare
from components.features.transform_tf import GRAPHS, TransformGraph, input_names, raw_signature
from tests.features.strategies import DATA, KINDS, feature, raw_batches

TOLERANCE = 1e-6


def tensors(raw):
    return {name: tf.constant(values, tf.string if values.dtype == object else None) for name, values in raw.items()}


def assert_same(plain, graph):
    floats, ids = plain
    assert floats.dtype == np.float32
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(graph[1].numpy(), ids)
    assert graph[0].shape == floats.shape
    wide = floats.astype(np.float64)
    assert np.isfinite(wide).all()
    assert (np.abs(graph[0].numpy() - wide) <= TOLERANCE * np.maximum(1, np.abs(wide))).all(), (graph[0].numpy(), wide)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_random_features_are_equal_in_both_forms(kind, data):
    declared, learned = data.draw(KINDS[kind])
    raw = data.draw(raw_batches(declared.source_columns))
    floats, ids = declared.plain(learned)(raw)
    assert_same((floats, ids), GRAPHS[kind](declared, learned)(tensors(raw)))
    rows = len(raw[declared.source_columns[0]])
    sizes = np.array(declared.id_sizes(learned), np.int64)
    assert floats.shape == (rows, declared.float_width)
    assert ids.shape == (rows, len(sizes))
    assert ((ids >= 0) & (ids < sizes)).all()


@pytest.fixture(scope="module")
def graph(every_kind):
    return TransformGraph(every_kind)


@given(raw=raw_batches())
def test_a_traced_graph_equals_the_plain_form(every_kind, graph, raw):
    made = graph(tensors(raw))
    assert made["ids"].dtype == tf.int64
    assert_same(every_kind(raw), (made["floats"], made["ids"]))


def test_circles_and_parts_are_bit_identical(every_kind, graph):
    rng = np.random.default_rng(5)
    seconds = rng.integers(-(10**11), 10**11, 5000)
    raw = {name: np.zeros(5000, np.int64) for name in ("count", "flag")}
    raw |= {"number": np.zeros(5000, np.float32), "moment": seconds}
    raw |= {name: np.full(5000, "a", object) for name in ("word", "town")}
    floats, _ = every_kind(raw)
    made = graph(tensors(raw))["floats"].numpy()
    circles = [index for index, name in enumerate(every_kind.float_names) if name == "circles"]
    np.testing.assert_array_equal(made[:, circles], floats[:, circles])


def test_a_graph_works_inside_a_function(every_kind, graph):
    raw = one_batch()
    made = tf.function(lambda columns: graph(columns))(tensors(raw))
    assert_same(every_kind(raw), (made["floats"], made["ids"]))


def one_batch():
    return {
        "number": np.array([1.5, np.nan, 3e38], np.float32),
        "count": np.array([7, MISSING_INTEGER, 2**63 - 1]),
        "flag": np.array([0, 1, MISSING_INTEGER]),
        "word": np.array(["東京", "", "unseen"], object),
        "town": np.array(["Zürich", "a", ""], object),
        "moment": np.array([-1, 1_356_998_400, MISSING_INTEGER]),
    }


LOAD = """
import sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
raw = np.load(sys.argv[2], allow_pickle=True)
made = loaded.transform({name: tf.constant(raw[name].tolist(), loaded_type)
                         for name, loaded_type in (("number", tf.float32), ("count", tf.int64), ("flag", tf.int64),
                                                   ("word", tf.string), ("town", tf.string), ("moment", tf.int64))})
np.savez(sys.argv[3], floats=made["floats"], ids=made["ids"])
"""


def test_a_saved_model_gives_the_same_in_another_process(every_kind, graph, tmp_path):
    tf.saved_model.save(graph, str(tmp_path / "saved"), signatures=graph.transform)
    assert not list((tmp_path / "saved" / "assets").glob("*"))
    np.savez(tmp_path / "raw.npz", **one_batch())
    paths = [str(tmp_path / name) for name in ("saved", "raw.npz", "made.npz")]
    subprocess.run([sys.executable, "-c", LOAD, *paths], check=True, timeout=120)
    with np.load(tmp_path / "made.npz") as made:
        assert_same(every_kind(one_batch()), (tf.constant(made["floats"]), tf.constant(made["ids"])))


def test_a_signature_takes_any_column_name(tmp_path):
    names = ["dep time", "dep_time", "od280/od315", "é", "1x", "Dep", "dep", "self"]
    signature = input_names(names)
    assert signature["dep_time"] == "dep_time_2"
    assert signature["Dep"] == "Dep"
    function = tf.function(lambda raw: {"sum": sum(raw.values())}).get_concrete_function(
        {name: tf.TensorSpec([None], tf.float32, signature[name]) for name in names}
    )
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), signatures=function)
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    assert set(loaded.structured_input_signature[1]) == set(signature.values())


def test_the_raw_signature_has_the_source_columns(every_kind):
    signature = raw_signature(every_kind)
    assert tuple(signature) == every_kind.source_columns
    assert signature["number"] == tf.TensorSpec([None], tf.float32, "number")
    assert signature["word"].dtype == tf.string
    assert signature["moment"].dtype == tf.int64


def test_the_hash_is_tensorflows_for_every_token():
    from components.features.tokens import fingerprint

    words = ["", "a", "東京", "x" * 1000, "\x00", "🛫"]
    expected = tf.strings.to_hash_bucket_fast(words, 2**62).numpy()
    assert [fingerprint(word) % 2**62 for word in words] == expected.tolist()


def test_half_a_surrogate_pair_does_not_stop_the_plain_form():
    declared = feature(kind="category", column="word", hash_buckets=10)
    _, ids = declared.plain(Nothing())({"word": np.array(["\ud800"], object)})
    assert 1 <= ids[0, 0] <= 10


@pytest.mark.parametrize("log", [False, True])
@given(raw=raw_batches(["number"]))
def test_prepared_numbers_are_what_the_moments_scale(log, raw):
    """Scaling by hand what `prepare` gives equals the feature; NaN stands for missing."""
    declared, moments = feature(kind="numeric", column="number", clip=[-50, 1e6], log=log), Moments(2, 0.5, -4, 9)
    prepared = prepare(declared, tensors(raw), DATA).numpy()
    assert prepared.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(prepared), ~np.isfinite(raw["number"]))
    expected = np.nan_to_num((prepared - 2) / 0.5, nan=0.0)
    np.testing.assert_allclose(declared.plain(moments)(raw)[0][:, 0], expected, rtol=1e-6, atol=1e-6)


def test_prepared_tokens_are_strings_and_empty_where_missing():
    raw = tensors(one_batch())
    words = prepare(feature(kind="category", column="word"), raw, DATA).numpy()
    counts = prepare(feature(kind="category", column="count"), raw, DATA).numpy()
    assert [word.decode() for word in words] == ["東京", "", "unseen"]
    assert counts.tolist() == [b"7", b"", b"9223372036854775807"]


def test_what_learns_nothing_cannot_be_prepared():
    with pytest.raises(ValueError, match="feature it learns nothing"):
        prepare(feature(kind="boolean", column="flag"), tensors(one_batch()), DATA)


def test_ids_are_missing_then_unknown_then_known():
    declared = feature(kind="category", column="word", oov_buckets=2)
    _, ids = declared.plain(Vocabulary(("x", "y"), (2, 1)))({"word": np.array(["", "x", "y", "z"], object)})
    assert ids[[0, 1, 2], 0].tolist() == [0, 3, 4]
    assert ids[3, 0] in (1, 2)


def test_no_tensorflow_in_the_plain_form():
    code = (
        "import sys; import components.features.transform, components.features.rows, components.features.merge;"
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'kfp', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60).returncode == 0
