"""Images from the examples into a convolutional network, and out of it as a SavedModel."""

from itertools import islice

import numpy as np
import pytest

from components.features.declared import Features
from components.learning import disk_cache, networks
from components.learning.config import Convolutional, Mlp, check_network
from components.learning.input import BEGINNING, Reader, batch_sizes, from_columns
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec
from components.learning.saved_model import export
from tests.learning.photos import NETWORK, OTHERS, PHOTO, SHAPE, make_transform, predict, raw_rows, write_examples

ROWS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return folder, write_examples(folder, make_transform(), ROWS)


def spec_of(examples, network=NETWORK) -> NetworkSpec:
    return NetworkSpec.of(network, examples)


def in_order(batches) -> dict[str, np.ndarray]:
    """The rows of batches side by side, in an order of their own."""
    inputs = [inputs for inputs, _ in batches]
    rows = {name: np.concatenate([batch[name] for batch in inputs]) for name in inputs[0]}
    order = np.lexsort(rows["images"].reshape(ROWS, -1).T)
    order = order[np.argsort(rows["floats"][order, 0], kind="stable")]
    return {name: values[order] for name, values in rows.items()}


@pytest.mark.parametrize("way", ["memory", "file", "streamed"])
def test_every_way_of_reading_gives_the_images_as_numbers(folder, tmp_path, way) -> None:
    reader, sizes = Reader(*folder, ("train",)), batch_sizes(ROWS, 8)
    if way == "streamed":
        dataset = reader.streamed(sizes, 3, BEGINNING)
    else:
        columns = reader.columns() if way == "memory" else disk_cache.columns(reader, tmp_path / "cache")
        dataset = from_columns(columns, sizes, 3)
    found = in_order(islice(dataset.as_numpy_iterator(), 8))
    floats, ids, images = make_transform()(raw_rows(ROWS))
    expected = in_order([({"floats": floats, "ids": ids, "images": images.astype(np.float32) / 255}, None)])
    assert found["images"].dtype == np.float32
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_kept_images_are_bytes(folder, tmp_path) -> None:
    reader = Reader(*folder, ("train",))
    kept = disk_cache.columns(reader, tmp_path / "cache")["images"]
    assert (kept.dtype, kept.shape) == (np.uint8, (ROWS, *SHAPE))
    assert (tmp_path / "cache" / "images.bin").stat().st_size == ROWS * np.prod(SHAPE)
    assert reader.size_bytes == ROWS * (np.prod(SHAPE) + 4 * 3)
    assert disk_cache.columns(reader, tmp_path / "cache")["images"].tobytes() == kept.tobytes()


def test_layers_have_names_that_stay(folder, tmp_path) -> None:
    spec = spec_of(folder[1])
    network = networks.build(spec)
    weighted = [layer.name for layer in network.layers if layer.weights]
    assert sorted(weighted) == ["conv_0", "conv_1", "embedding_town", "hidden_0", "logits"]
    assert network.get_layer("flat").output.shape[1] == 2 * 3 * 8
    average = networks.build(spec_of(folder[1], NETWORK.model_copy(update={"pooling": "average"})))
    assert average.get_layer("pooled").output.shape[1] == 8
    spec.write(tmp_path)
    assert NetworkSpec.read(tmp_path) == spec


def test_a_network_may_have_nothing_but_the_image(tmp_path) -> None:
    network = networks.build(spec_of(write_examples(tmp_path, make_transform(alone=True), 10)))
    assert set(network.input) == {"images"}
    assert network(np.zeros((2, *SHAPE), np.float32)).shape == (2, 3)


def test_it_learns_from_images_alone(folder) -> None:
    tf_keras.utils.set_random_seed(0)
    network = networks.build(spec_of(folder[1], Convolutional(filters=(8,), hidden=(16,), dropout=0.1)))
    network.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reader = Reader(*folder, ("train",))
    dataset = from_columns(reader.columns(), batch_sizes(ROWS, 10), 0)
    network.fit(dataset, steps_per_epoch=10, epochs=15, verbose=0)
    _, accuracy = network.evaluate(reader.in_order(), verbose=0)
    assert accuracy > 0.95


def test_a_saved_model_takes_png_files(folder, tmp_path) -> None:
    transform, network = make_transform(), networks.build(spec_of(folder[1]))
    export(network, transform, tmp_path)
    raw = raw_rows(20)
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    tensors = {
        name: tf.constant(values.tolist(), None if values.dtype == object else tf.float32)
        for name, values in raw.items()
    }
    found = serve["serving_default"](**tensors)["output"].numpy()
    np.testing.assert_allclose(found, predict(network, transform, raw), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no PNG"):
        serve["serving_default"](**{**tensors, "photo": tf.constant(["GIF89a" + 30 * "x"] * 20)})


@pytest.mark.parametrize(
    ("network", "features", "sentence"),
    [
        (NETWORK, OTHERS, "convolutional, which needs a feature of kind image"),
        (Mlp(), (PHOTO, *OTHERS), "network.kind is mlp, which does not see the image photo; use convolutional"),
        (Convolutional(filters=(4, 4, 4, 4)), (PHOTO,), "has 4 blocks, each halving the image photo of 8 by 12 pixels"),
    ],
)
def test_networks_that_do_not_fit_the_features_are_refused(network, features: Features, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_network(network, features)
