import numpy as np
import pytest

from components.learning import fit, networks, weights
from components.learning.config import Mlp, WideDeep
from components.learning.input import in_memory
from components.learning.networks import NetworkSpec
from tests.learning.small import CITIES, labels, make_transform, raw_rows, write_examples

SCHEDULE = fit.Schedule(epochs=1, learning_rate=0.01, patience=1)
NETWORK = WideDeep(hidden=(8,), max_embedding_width=4)
GROWN = (*CITIES, "Bonn", "Rome")


def built(folder, cities=CITIES, network=NETWORK):
    transform = make_transform(cities=cities)
    spec = NetworkSpec.of(network, write_examples(folder, transform, rows=(4, 2), shards=1))
    model = networks.build(spec)
    fit.compile_model(model, spec, 0.01)
    return model, spec, transform


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A trained and saved network."""
    folder = tmp_path_factory.mktemp("base")
    model, spec, transform = built(folder)
    raw = raw_rows(300)
    floats, ids = transform(raw)
    columns = in_memory({"floats": floats, "ids": ids, "label": labels(raw, "binary")[:, None]}, 32, 0)
    fit.fit(model, columns, columns, spec, SCHEDULE)
    weights.save(model, folder)
    return folder, model, spec, transform


def started(base, tmp_path, cities=CITIES, network=NETWORK):
    folder, _, base_spec, base_transform = base
    model, spec, transform = built(tmp_path, cities, network)
    layers = weights.warm_start(model, folder, weights.row_maps(spec, transform, base_spec, base_transform))
    return model, layers


def layer(model, name: str) -> np.ndarray:
    return model.get_layer(name).get_weights()[0]


def slot(model, name: str) -> np.ndarray:
    return next(variable.numpy() for variable in model.optimizer.variables if variable.name == name)


def test_saved_weights_load_into_the_same_network(base, tmp_path):
    model, _, _ = built(tmp_path)
    weights.load(model, base[0])
    for loaded, saved in zip(model.get_weights(), base[1].get_weights()):
        assert np.array_equal(loaded, saved)


def test_the_same_vocabulary_reuses_every_layer(base, tmp_path):
    model, layers = started(base, tmp_path)
    assert layers.remapped == layers.new == []
    assert {"embedding_city", "wide_city", "hidden_0", "logits"} <= set(layers.reused)
    for restored, saved in zip(model.get_weights(), base[1].get_weights()):
        assert np.array_equal(restored, saved)


def test_known_tokens_keep_their_rows_and_new_ones_start_as_the_unknown_token(base, tmp_path):
    model, layers = started(base, tmp_path, GROWN)
    assert sorted(layers.remapped) == ["embedding_city", "wide_city"]
    assert layers.new == []
    for name in layers.remapped:
        old, new = layer(base[1], name), layer(model, name)
        assert len(new) == len(old) + 2
        assert np.array_equal(new[: len(old)], old)
        assert np.allclose(new[len(old) :], old[1])
        assert not np.allclose(old[1], 0)


def test_rows_follow_their_tokens_wherever_these_stand(base, tmp_path):
    model, _ = started(base, tmp_path, CITIES[::-1])
    old, new = layer(base[1], "embedding_city"), layer(model, "embedding_city")
    assert np.array_equal(new[:2], old[:2])
    assert np.array_equal(new[2:], old[:1:-1])


def test_several_unknown_rows_are_averaged():
    rows = weights.RowMap(np.array([0, 1, 2, 3, -1]), np.array([1, 2]))
    table = np.array([[0.0], [1.0], [3.0], [9.0]])
    assert rows.rows(table).tolist() == [[0], [1], [3], [9], [2]]


def test_a_layer_of_another_shape_starts_fresh(base, tmp_path):
    model, layers = started(base, tmp_path, network=NETWORK.model_copy(update={"hidden": (9,)}))
    assert layers.new == ["hidden_0", "logits"]
    assert "embedding_city" in layers.reused
    assert not slot(model, "m/hidden_0/kernel:0").any()


def test_a_layer_that_the_base_lacks_starts_fresh(base, tmp_path):
    wide = built(tmp_path / "wide")[1]
    mlp_folder = tmp_path / "mlp"
    mlp, mlp_spec, transform = built(mlp_folder, network=Mlp(hidden=(8,), max_embedding_width=4))
    weights.save(mlp, mlp_folder)
    model, _, _ = built(tmp_path / "again")
    layers = weights.warm_start(model, mlp_folder, weights.row_maps(wide, transform, mlp_spec, transform))
    assert layers.new == ["wide_city", "wide_day", "wide_day.1"]


def test_the_optimizer_goes_on_where_it_was(base, tmp_path):
    model, _ = started(base, tmp_path, GROWN)
    assert int(model.optimizer.iterations) == int(base[1].optimizer.iterations) > 0
    assert np.array_equal(slot(model, "v/hidden_0/kernel:0"), slot(base[1], "v/hidden_0/kernel:0"))
    old, new = slot(base[1], "m/embedding_city/embeddings:0"), slot(model, "m/embedding_city/embeddings:0")
    assert np.array_equal(new[: len(old)], old)
    assert old.any() and not new[len(old) :].any()
