import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import UserError
from components.learning import input
from components.learning.input import BEGINNING, Position, Reader, Share, batch_sizes, from_columns
from components.learning.legacy_keras import tf
from tests.learning.small import labels, make_transform, raw_rows, write_examples

ROWS = 900
WAYS = ["memory", "file", "streamed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return folder, write_examples(folder, make_transform(), rows=(ROWS, 300))


@pytest.fixture
def endless(folder, tmp_path):
    def make(way, sizes, seed=3, position=BEGINNING, share=input.WHOLE, parts=("train",)):
        """Batches, side by side, without end."""
        reader = Reader(*folder, parts, share)
        if way == "streamed":
            dataset = reader.streamed(sizes, seed, position)
        else:
            columns = reader.columns()
            if way == "file":
                columns = {name: on_disk(tmp_path / f"{name}.bin", values) for name, values in columns.items()}
            dataset = from_columns(columns, sizes, seed, position)
        return map(side_by_side, dataset.as_numpy_iterator())

    return make


def on_disk(path, values: np.ndarray) -> np.memmap:
    values.tofile(path)
    return np.memmap(path, values.dtype, "r", shape=values.shape)


def side_by_side(batch) -> np.ndarray:
    inputs, label = batch
    return np.concatenate([inputs["floats"], inputs["ids"], label], axis=1)


def sorted_rows(batches) -> np.ndarray:
    rows = np.concatenate(list(batches))
    return rows[np.lexsort(rows.T)]


@pytest.fixture(scope="module")
def expected():
    raw = raw_rows(ROWS)
    floats, ids = make_transform()(raw)
    return np.concatenate([floats, ids, labels(raw, "binary")[:, None]], axis=1)


@pytest.mark.parametrize("way", WAYS)
def test_an_epoch_has_every_example_once_in_batches_of_one_size(endless, expected, way):
    batches = endless(way, batch_sizes(ROWS, 8))
    for _ in range(2):
        epoch = list(islice(batches, 8))
        assert {len(batch) for batch in epoch} == {112, 113}
        assert np.array_equal(sorted_rows(epoch), sorted_rows([expected]))


@pytest.mark.parametrize("way", WAYS)
def test_the_order_differs_by_epoch_and_repeats_with_the_seed(endless, expected, way):
    sizes = batch_sizes(ROWS, 9)
    both, again, other = (list(islice(endless(way, sizes, seed), 18)) for seed in (3, 3, 4))
    assert all(np.array_equal(one, same) for one, same in zip(both, again))
    assert not np.array_equal(both[0], other[0])
    assert not np.array_equal(both[0], both[9])
    assert not np.array_equal(np.concatenate(both[:9]), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("epoch", "step"), [(0, 5), (1, 0), (2, 8)])
def test_reading_goes_on_from_any_position(endless, way, epoch, step):
    sizes = batch_sizes(ROWS, 9)
    whole = list(islice(endless(way, sizes), 30))
    rest = list(islice(endless(way, sizes, position=Position(epoch, step)), 3))
    start = 9 * epoch + step
    assert all(np.array_equal(one, other) for one, other in zip(whole[start : start + 3], rest))


@pytest.mark.parametrize("way", ["memory", "streamed"])
def test_without_a_seed_every_run_has_another_order(endless, way):
    sizes = batch_sizes(ROWS, 9)
    assert not np.array_equal(next(endless(way, sizes, None)), next(endless(way, sizes, None)))


@pytest.mark.parametrize("way", ["memory", "streamed"])
def test_a_batch_mixes_the_shards(endless, expected, way):
    first = next(endless(way, batch_sizes(ROWS, 5)))
    places = [int(np.flatnonzero((expected == row).all(axis=1))[0]) for row in first]
    assert min(places) < 100 and max(places) >= 700


@pytest.mark.parametrize("way", ["memory", "file"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 3000), data=st.data(), seed=st.integers(0, 2**40))
def test_every_epoch_out_of_arrays_has_every_row_once(tmp_path, way, rows, data, seed):
    sizes = batch_sizes(rows, data.draw(st.integers(1, min(rows, 12))))
    batches = numbered(rows, sizes, seed, tmp_path if way == "file" else None)
    for _ in range(2):
        epoch = list(islice(batches, len(sizes)))
        assert [len(batch) for batch in epoch] == list(sizes)
        assert np.array_equal(np.sort(np.concatenate(epoch)), np.arange(rows))


@pytest.mark.parametrize("way", ["memory", "file"])
def test_a_process_with_more_rows_leaves_out_others_in_each_epoch(tmp_path, way):
    rows, sizes = 5003, np.full(9, 544)  # 107 are left out
    batches = numbered(rows, sizes, 3, tmp_path if way == "file" else None)
    left_out = [set(range(rows)) - set(np.concatenate(list(islice(batches, 9)))) for _ in range(4)]
    assert {len(out) for out in left_out} == {107}
    assert not set.intersection(*left_out)


def test_in_memory_neighbours_on_disk_do_not_meet_more_often_than_others(tmp_path):
    rows, batch = 2**15, 512
    first = next(numbered(rows, np.full(rows // batch, batch), 3, None))
    together = np.diff(np.sort(first)) == 1
    assert together.mean() < 4 * batch / rows
    mapped = next(numbered(rows, np.full(rows // batch, batch), 3, tmp_path))
    assert (np.diff(np.sort(mapped)) == 1).mean() > 0.9  # there they are read together


def numbered(rows, sizes, seed, folder):
    """The rows' numbers in batches without end; out of a file where a folder is given."""
    numbers = np.arange(rows, dtype=np.float32)[:, None]
    columns = {"floats": numbers, "label": numbers}
    if folder is not None:
        fresh = Path(tempfile.mkdtemp(dir=folder))  # an iterator may still read an earlier one
        columns = {name: on_disk(fresh / f"{name}.bin", values) for name, values in columns.items()}
    return (inputs["floats"][:, 0].astype(int) for inputs, _ in from_columns(columns, sizes, seed).as_numpy_iterator())


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_examples_by_file_where_the_shards_divide_evenly(folder, expected, processes):
    readers = [Reader(*folder, ("train",), Share(index, processes)) for index in range(processes)]
    assert [reader.by_file for reader in readers] == [processes == 3] * processes
    read = [side_by_side(({**columns}, columns.pop("label"))) for columns in (reader.columns() for reader in readers)]
    assert np.array_equal(sorted_rows(read), sorted_rows([expected]))
    assert all(reader.size_bytes == ROWS * 7 * 4 // processes for reader in readers)


@pytest.mark.parametrize("way", ["memory", "streamed"])
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_take_batches_of_equal_size_whatever_they_have(endless, way, processes):
    sizes = batch_sizes(ROWS, 7, replicas=processes)
    assert len(set(sizes)) == 1 and ROWS <= sum(sizes) * processes < ROWS + 7 * processes
    for index in range(processes):
        taken = list(islice(endless(way, sizes, share=Share(index, processes)), 14))
        assert [len(batch) for batch in taken] == [sizes[0]] * 14


@given(rows=st.integers(1, 10**6), data=st.data())
def test_batches_of_one_replica_cover_an_epoch_exactly(rows, data):
    steps = data.draw(st.integers(1, min(rows, 5000)))
    sizes = batch_sizes(rows, steps)
    assert sizes.sum() == rows and len(sizes) == steps
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("seed", [0, 5])
def test_streaming_needs_no_global_seed(folder, seed):
    before = tf.random.get_global_generator()
    tf.random.set_seed(seed + 1)
    try:
        batches = Reader(*folder, ("train",)).streamed(batch_sizes(ROWS, 9), seed, BEGINNING)
        assert len(next(iter(batches))[1]) == 100
    finally:
        tf.random.set_global_generator(before)


def test_in_order_is_as_on_disk(folder):
    reader = Reader(*folder, ("validation",))
    first, second = (np.concatenate(list(map(side_by_side, reader.in_order().as_numpy_iterator()))) for _ in range(2))
    assert np.array_equal(first, second) and len(first) == 300


def test_a_sample_has_the_first_rows_only(folder, expected):
    columns = Reader(*folder, ("train",)).columns(50)
    assert len(columns["label"]) == 50
    assert columns["ids"].dtype == np.int32
    assert all((expected[:, : columns["floats"].shape[1]] == row).all(axis=1).any() for row in columns["floats"])


@pytest.mark.parametrize("use", ["floats", "ids"])
@pytest.mark.parametrize("way", ["memory", "streamed"])
def test_what_the_features_do_not_give_is_left_out(tmp_path, use, way):
    described = write_examples(tmp_path, make_transform(use=use), rows=(10, 5), shards=1)
    reader, sizes = Reader(tmp_path, described, ("train",)), batch_sizes(10, 3)
    dataset = from_columns(reader.columns(), sizes, 0) if way == "memory" else reader.streamed(sizes, 0, BEGINNING)
    inputs, label = next(iter(dataset))
    assert set(inputs) == {use}
    assert label.shape == (3, 1)


@pytest.mark.parametrize("way", ["memory", "streamed"])
def test_parts_are_read_together(endless, folder, expected, way):
    both = islice(endless(way, batch_sizes(ROWS + 300, 10), parts=("train", "validation")), 10)
    alone = map(side_by_side, Reader(*folder, ("validation",)).in_order().as_numpy_iterator())
    assert np.array_equal(sorted_rows(both), sorted_rows([expected, *alone]))


def test_no_shards_are_refused(tmp_path):
    described = write_examples(tmp_path, make_transform(), rows=(10, 5), shards=1)
    described.shards["validation"] = ()
    with pytest.raises(UserError, match="there are no validation examples"):
        Reader(tmp_path, described, ("validation",))
