import numpy as np
import pytest

from components.learning import input
from components.learning.input import Reader
from tests.learning.small import labels, make_transform, raw_rows, write_examples

ROWS = 900
IN_MEMORY, STREAMED = 2**30, 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return folder, write_examples(folder, make_transform(), rows=(ROWS, 300))


def epoch(dataset) -> list[np.ndarray]:
    """The batches of one epoch, all columns side by side."""
    return [
        np.concatenate([inputs["floats"], inputs["ids"], label], axis=1)
        for inputs, label in dataset.as_numpy_iterator()
    ]


def sorted_rows(batches: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(batches)
    return rows[np.lexsort(rows.T)]


@pytest.fixture(scope="module")
def expected():
    raw = raw_rows(ROWS)
    floats, ids = make_transform()(raw)
    return np.concatenate([floats, ids, labels(raw, "binary")[:, None]], axis=1)


@pytest.mark.parametrize("cache_bytes", [IN_MEMORY, STREAMED])
def test_an_epoch_has_every_example_once_in_full_batches_but_the_last(folder, expected, cache_bytes):
    dataset = input.dataset(*folder, ("train",), 128, 3, cache_bytes)
    for _ in range(2):
        batches = epoch(dataset)
        assert [len(batch) for batch in batches] == [128] * 7 + [4]
        assert np.array_equal(sorted_rows(batches), sorted_rows([expected]))
    assert len(dataset) == 8


@pytest.mark.parametrize("cache_bytes", [IN_MEMORY, STREAMED])
def test_the_order_differs_by_epoch_and_repeats_with_the_seed(folder, expected, cache_bytes):
    first, second = (
        [epoch(input.dataset(*folder, ("train",), 100, 3, cache_bytes)) for _ in range(2)] for _ in range(2)
    )
    dataset = input.dataset(*folder, ("train",), 100, 3, cache_bytes)
    epochs = [np.concatenate(epoch(dataset)) for _ in range(2)]
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], expected)
    assert np.array_equal(np.concatenate(first[0]), np.concatenate(second[0]))
    other = np.concatenate(epoch(input.dataset(*folder, ("train",), 100, 4, cache_bytes)))
    assert not np.array_equal(epochs[0], other)


def test_a_shuffled_batch_mixes_the_shards(folder, expected):
    first = epoch(input.dataset(*folder, ("train",), 200, 3, IN_MEMORY))[0]
    places = [int(np.flatnonzero((expected == row).all(axis=1))[0]) for row in first]
    assert min(places) < 100 and max(places) >= 700


@pytest.mark.parametrize("cache_bytes", [IN_MEMORY, STREAMED])
def test_without_a_seed_the_order_stays(folder, cache_bytes):
    dataset = input.dataset(*folder, ("validation",), 128, None, cache_bytes)
    assert np.array_equal(np.concatenate(epoch(dataset)), np.concatenate(epoch(dataset)))


def test_a_sample_has_the_first_rows_only(folder, expected):
    columns = Reader(*folder).columns(("train",), 50)
    assert len(columns["label"]) == 50
    assert columns["ids"].dtype == np.int32
    assert all((expected[:, : columns["floats"].shape[1]] == row).all(axis=1).any() for row in columns["floats"])


@pytest.mark.parametrize("use", ["floats", "ids"])
@pytest.mark.parametrize("cache_bytes", [IN_MEMORY, STREAMED])
def test_what_the_features_do_not_give_is_left_out(tmp_path, use, cache_bytes):
    described = write_examples(tmp_path, make_transform(use=use), rows=(10, 5), shards=1)
    inputs, label = next(iter(input.dataset(tmp_path, described, ("train",), 4, 0, cache_bytes)))
    assert set(inputs) == {use}
    assert label.shape == (4, 1)


@pytest.mark.parametrize("cache_bytes", [IN_MEMORY, STREAMED])
def test_parts_are_read_together(folder, expected, cache_bytes):
    both = sorted_rows(epoch(input.dataset(*folder, ("train", "validation"), 128, 3, cache_bytes)))
    alone = epoch(input.dataset(*folder, ("validation",), 128, None, cache_bytes))
    assert np.array_equal(both, sorted_rows([expected, *alone]))
