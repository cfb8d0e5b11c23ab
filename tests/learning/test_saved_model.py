import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.features.columns import MISSING_INTEGER
from components.features.transform import Transform
from components.learning import networks, saved_model
from components.learning.config import WideDeep
from components.learning.legacy_keras import tf
from components.learning.networks import NetworkSpec
from tests.learning.small import make_transform, raw_rows, write_examples

CASES = [("binary", "both"), ("multiclass", "ids"), ("regression", "floats")]


def export(folder, transform):
    """Exports a small network that was never trained."""
    spec = NetworkSpec.of(WideDeep(hidden=(8,)), write_examples(folder, transform, rows=(4, 2), shards=1))
    network = networks.build(spec)
    saved_model.export(network, transform, folder)
    return network


def source_rows(transform, rows):
    return {name: values for name, values in raw_rows(rows).items() if name in transform.source_columns}


def tensors(raw):
    return {name: tf.constant(values.tolist() if values.dtype == object else values) for name, values in raw.items()}


def example(**features):
    made = {name: value if isinstance(value, tf.train.Feature) else feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def feature(*values):
    if isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
    if isinstance(values[0], float | np.floating):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def is_present(value):
    return value != "" and value != MISSING_INTEGER and value == value


def examples(raw, leaves_missing_out):
    """Columns as serialized examples, those without a value left out or written as what stands for missing."""
    rows = (dict(zip(raw, values)) for values in zip(*raw.values()))
    if leaves_missing_out:
        rows = ({name: value for name, value in row.items() if is_present(value)} for row in rows)
    return tf.constant([example(**row) for row in rows])


@dataclass(frozen=True)
class Made:
    """A model with floats and ids, and what was exported of it."""

    folder: Path
    transform: Transform
    network: Any
    signatures: Any


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    transform, folder = make_transform(), tmp_path_factory.mktemp("model")
    network = export(folder, transform)
    return Made(folder, transform, network, tf.saved_model.load(str(folder / "saved_model")).signatures)


@pytest.mark.parametrize(("task", "use"), CASES)
def test_a_saved_model_takes_raw_columns(tmp_path, task, use):
    transform = make_transform(task, use)
    network = export(tmp_path, transform)
    raw = source_rows(transform, 20)
    floats, ids = transform(raw)
    expected = network({name: value for name, value in (("floats", floats), ("ids", ids)) if value.shape[1]})
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    assert serve(**tensors(raw))["output"].numpy() == pytest.approx(np.asarray(expected), abs=1e-5)
    assert not list((tmp_path / "saved_model" / "assets").glob("*"))


@pytest.mark.parametrize(("task", "use"), CASES)
def test_examples_give_what_their_columns_give(tmp_path, task, use):
    transform = make_transform(task, use)
    export(tmp_path, transform)
    raw = source_rows(transform, 50)
    signatures = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    expected = signatures["serving_default"](**tensors(raw))["output"].numpy()
    assert len(np.unique(expected)) > 5
    for leaves_missing_out in (True, False):
        given = examples(raw, leaves_missing_out)
        np.testing.assert_array_equal(signatures["serve_examples"](examples=given)["output"].numpy(), expected)


def test_no_value_at_all_is_missing(made):
    empty = tf.train.Feature(float_list=tf.train.FloatList())
    given = tf.constant([example(), example(a=empty, b=tf.train.Feature()), example(unknown=1)])
    raw = {"a": [np.nan], "b": [MISSING_INTEGER], "city": [""], "time": [MISSING_INTEGER]}
    typed = {"a": tf.constant(raw["a"], tf.float32), "city": tf.constant(raw["city"])}
    typed |= {name: tf.constant(raw[name], tf.int64) for name in ("b", "time")}
    expected = made.signatures["serving_default"](**typed)["output"].numpy()
    serve = made.signatures["serve_examples"]
    np.testing.assert_array_equal(serve(examples=given)["output"].numpy(), np.repeat(expected, 3, axis=0))
    assert serve(examples=tf.constant([], tf.string))["output"].shape == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"city": feature("Oslo", "Ulm")}, "more than one value of city"),
        ({"b": feature(1.5)}, "Data types don't match"),
    ],
)
def test_an_example_that_cannot_be_read_is_refused(made, wrong, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        made.signatures["serve_examples"](examples=tf.constant([example(a=1.0), example(**wrong)]))


LOAD = """
import sys
BLOCKED = ("components", "keras", "tf_keras", "tensorflow_transform", "tensorflow_text")
sys.modules.update(dict.fromkeys(BLOCKED))  # None there is "no such module"
import numpy as np, tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
raw = dict(np.load(sys.argv[2], allow_pickle=True))
raw = {name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in raw.items()}
examples = tf.constant(raw.pop("examples"))
outputs = signatures["serving_default"](**raw)["output"], signatures["serve_examples"](examples=examples)["output"]
assert not any(sys.modules[name] for name in BLOCKED)
np.savez(sys.argv[3], *outputs)
"""


def test_it_loads_where_only_tensorflow_is(made, tmp_path):
    raw = source_rows(made.transform, 20)
    np.savez(tmp_path / "raw.npz", examples=np.array(examples(raw, True).numpy(), object), **raw)
    paths = [str(path) for path in (made.folder / "saved_model", tmp_path / "raw.npz", tmp_path / "outputs.npz")]
    subprocess.run([sys.executable, "-c", LOAD, *paths], check=True, timeout=300, cwd=tmp_path)
    expected = made.network(dict(zip(("floats", "ids"), made.transform(raw)))).numpy()
    with np.load(tmp_path / "outputs.npz") as outputs:
        assert len(outputs.files) == 2
        for name in outputs.files:
            np.testing.assert_allclose(outputs[name], expected, atol=1e-5)
