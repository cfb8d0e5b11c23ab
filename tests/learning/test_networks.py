import numpy as np
import pytest

from components.learning import networks
from components.learning.config import Dcn, Linear, Mlp, WideDeep
from components.learning.networks import NetworkSpec
from tests.learning.small import make_transform, write_examples

KINDS = [Linear(), Mlp(hidden=(8,)), WideDeep(hidden=(8, 4), dropout=0.1), Dcn(hidden=(8,), cross_layers=2)]


@pytest.fixture
def spec(tmp_path):
    def make(network, task="binary", use="both"):
        return NetworkSpec.of(network, write_examples(tmp_path, make_transform(task, use), rows=(4, 2), shards=1))

    return make


def inputs(spec: NetworkSpec, rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    floats = random.normal(size=(rows, spec.floats)).astype(np.float32)
    ids = np.stack([random.integers(0, size, rows) for size in (*spec.id_sizes, 1)], axis=1).astype(np.int32)[:, :-1]
    return {name: values for name, values in (("floats", floats), ("ids", ids)) if values.shape[1]}


@pytest.mark.parametrize("use", ["both", "floats", "ids"])
@pytest.mark.parametrize("network", KINDS, ids=lambda network: network.kind)
def test_a_network_of_any_kind_takes_what_the_features_give(spec, network, use):
    made = spec(network, use=use)
    output = networks.build(made)(inputs(made, 5)).numpy()
    assert output.shape == (5, 1)
    assert np.all((output > 0) & (output < 1))


@pytest.mark.parametrize("network", KINDS, ids=lambda network: network.kind)
def test_several_classes_share_a_probability_of_one(spec, network):
    made = spec(network, "multiclass")
    output = networks.build(made)(inputs(made, 5)).numpy()
    assert output.shape == (5, 3)
    assert output.sum(axis=1) == pytest.approx(np.ones(5))


def test_a_regression_starts_near_the_mean_in_units_of_the_deviation(spec):
    made = spec(Mlp(hidden=(8,)), "regression")
    output = networks.build(made)(inputs(made, 50)).numpy()
    assert output.shape == (50, 1)
    assert np.abs(output.mean() - made.label_mean) < 3 * made.label_std


def test_each_id_has_its_own_rows_under_the_name_of_its_feature(spec):
    made = spec(WideDeep())
    weights = {layer.name: layer.get_weights() for layer in networks.build(made).layers if layer.weights}
    assert made.id_keys == ("city", "day", "day.1")
    for key, size in zip(made.id_keys, made.id_sizes):
        assert weights[f"embedding_{key}"][0].shape[0] == size
        assert weights[f"wide_{key}"][0].shape == (size, 1)


def test_embeddings_grow_slowly_with_the_number_of_ids_up_to_the_widest():
    network = WideDeep(max_embedding_width=20)
    assert [network.embedding_width(size) for size in (2, 16, 100, 10**6)] == [2, 12, 19, 20]


def test_a_specification_survives_its_file(spec, tmp_path):
    for network in KINDS:
        made = spec(network, "multiclass")
        made.write(tmp_path)
        assert NetworkSpec.read(tmp_path) == made
