import numpy as np
import pytest

from components.features.declaration import Vocabulary
from components.learning import networks, weights
from components.learning.config import Mlp, WideDeep
from components.learning.networks import NetworkSpec
from components.learning.rows import NEIGHBOURS, RowMap, row_map
from tests.learning.small import CITIES, labels, make_transform, raw_rows, write_examples

NETWORK = WideDeep(hidden=(8,), max_embedding_width=4)
GROWN = (*CITIES, "Bonn", "Rome")


def built(folder, cities=CITIES, network=NETWORK):
    transform = make_transform(cities=cities)
    spec = NetworkSpec.of(network, write_examples(folder, transform, rows=(4, 2), shards=1))
    model = networks.build(spec)
    weights.add_optimizer(model)
    return model, spec, transform


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A trained and saved network."""
    folder = tmp_path_factory.mktemp("base")
    model, spec, transform = built(folder)
    raw = raw_rows(300)
    floats, ids = transform(raw)
    model.compile(model.optimizer, "binary_crossentropy")
    model.fit({"floats": floats, "ids": ids}, labels(raw, "binary"), verbose=0)
    weights.save(model, folder)
    return folder, model, spec, transform


def started(base, tmp_path, cities=CITIES, network=NETWORK, mix=weights.BASE_ONLY):
    folder, _, base_spec, base_transform = base
    model, spec, transform = built(tmp_path, cities, network)
    layers = weights.warm_start(model, folder, weights.row_maps(spec, transform, base_spec, base_transform), mix)
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


def test_known_tokens_keep_their_rows_and_new_ones_start_between_the_unknown_and_the_known(base, tmp_path):
    model, layers = started(base, tmp_path, GROWN)
    assert sorted(layers.remapped) == ["embedding_city", "wide_city"]
    assert layers.new == []
    assert layers.rows == {"city": {"kept": len(CITIES) + 2, "new": 2}}
    for name in layers.remapped:
        old, new = layer(base[1], name), layer(model, name)
        assert len(new) == len(old) + 2
        assert np.array_equal(new[: len(old)], old)
        expected = (old[1] + old[2:].mean(axis=0)) / 2
        assert np.allclose(new[len(old) :], expected, atol=1e-7)
        assert not np.allclose(old[1], old[2:].mean(axis=0))


def test_rows_follow_their_tokens_wherever_these_stand(base, tmp_path):
    model, _ = started(base, tmp_path, CITIES[::-1])
    old, new = layer(base[1], "embedding_city"), layer(model, "embedding_city")
    assert np.array_equal(new[:2], old[:2])
    assert np.array_equal(new[2:], old[:1:-1])


def test_several_unknown_rows_are_averaged():
    rows = RowMap("f", np.array([0, 1, 2, 3, -1]), np.array([1, 2]), np.empty((1, 0), np.int64))
    table = np.array([[0.0], [1.0], [3.0], [9.0]])
    assert rows.rows(table).tolist() == [[0], [1], [3], [9], [2]]


def test_a_new_token_starts_as_those_that_are_about_as_frequent_in_the_rows_it_came_with():
    names = tuple(f"t{index}" for index in range(40))
    known = Vocabulary(names, tuple(range(1000, 960, -1)))
    seen = [*range(40)]
    learned = Vocabulary((*names, "rare", "frequent", "middle"), (*map(sum, zip(known.counts, seen)), 0, 99, 20))
    rows = row_map("f", learned, 2 + 43, known, 2 + 40)
    assert rows.sources.tolist() == [*range(42), -1, -1, -1]
    most = 2 * NEIGHBOURS
    expected = [range(most), range(40 - most, 40), range(20 - NEIGHBOURS, 20 + NEIGHBOURS)]
    assert rows.neighbours.tolist() == [[2 + place for place in places] for places in expected]
    table = np.arange(42, dtype=np.float32)[:, None]
    assert rows.rows(table)[-1, 0] == pytest.approx((1 + np.mean([2 + place for place in expected[2]])) / 2)


def test_a_base_without_tokens_gives_new_ones_the_unknown_row():
    rows = row_map("f", Vocabulary(("a", "b"), (3, 2)), 4, Vocabulary((), ()), 2)
    assert rows.rows(np.array([[5.0], [7.0]])).tolist() == [[5], [7], [7], [7]]


def test_a_layer_of_another_shape_starts_fresh(base, tmp_path):
    model, layers = started(base, tmp_path, network=NETWORK.model_copy(update={"hidden": (9,)}))
    assert layers.new == ["hidden_0", "logits"]
    assert "embedding_city" in layers.reused
    assert not slot(model, "m/hidden_0/kernel:0").any()
    assert layers.optimizer == "partly, fresh for hidden_0, logits"


def test_a_layer_that_the_base_lacks_starts_fresh(base, tmp_path):
    wide = built(tmp_path / "wide")[1]
    mlp_folder = tmp_path / "mlp"
    mlp, mlp_spec, transform = built(mlp_folder, network=Mlp(hidden=(8,), max_embedding_width=4))
    weights.save(mlp, mlp_folder)
    model, _, _ = built(tmp_path / "again")
    layers = weights.warm_start(model, mlp_folder, weights.row_maps(wide, transform, mlp_spec, transform))
    assert layers.new == ["wide_city", "wide_day", "wide_day.1"]


def test_the_optimizer_goes_on_where_it_was(base, tmp_path):
    model, layers = started(base, tmp_path, GROWN)
    assert layers.optimizer == "restored"
    assert int(model.optimizer.iterations) == int(base[1].optimizer.iterations) > 0
    assert np.array_equal(slot(model, "v/hidden_0/kernel:0"), slot(base[1], "v/hidden_0/kernel:0"))
    old, new = slot(base[1], "m/embedding_city/embeddings:0"), slot(model, "m/embedding_city/embeddings:0")
    assert np.array_equal(new[: len(old)], old)
    assert old.any() and not new[len(old) :].any()


def test_shrink_and_perturb_leaves_rows_by_id_and_gives_a_fresh_optimizer(base, tmp_path):
    model, _, _ = built(tmp_path / "fresh")
    fresh = model.get_weights()
    rows = {"embedding_city", "embedding_day", "embedding_day.1", "wide_city", "wide_day", "wide_day.1"}
    layers = weights.warm_start(model, base[0], {}, weights.Mix(0.4, 0.5))
    assert layers.new == layers.remapped == [] and rows < set(layers.reused)
    by_id = [layer.name in rows for layer in model.layers for _ in layer.weights]
    for is_by_id, start, trained, initial in zip(by_id, model.get_weights(), base[1].get_weights(), fresh):
        assert np.allclose(start, trained if is_by_id else 0.4 * trained + 0.5 * initial, atol=1e-7)
    assert layers.optimizer == "fresh, because the weights are shrunk by 0.4 and perturbed by 0.5"
    assert int(model.optimizer.iterations) == 0 and not slot(model, "m/embedding_city/embeddings:0").any()


def test_states_are_given_and_taken_by_name(base, tmp_path):
    model, _, _ = built(tmp_path)
    taken, optimizer = weights.state(base[1])
    weights.restore(model, taken, {**optimizer, "loss_scale:0": np.float32(1)})
    assert all(map(np.array_equal, model.get_weights(), base[1].get_weights()))
    assert all(np.array_equal(value, optimizer[name]) for name, value in weights.state(model)[1].items())
