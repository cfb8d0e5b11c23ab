import errno
import shutil
import weakref

import numpy as np
import pytest

from components.errors import UserError
from components.learning import disk_cache
from components.learning.input import BEGINNING, Reader, Share, batch_sizes, from_columns
from components.learning.legacy_keras import tf
from tests.learning.small import make_transform, write_examples

ROWS = 900
TRAIN = ("train",)


@pytest.fixture
def examples(tmp_path):
    folder = tmp_path / "examples"
    return folder, write_examples(folder, make_transform(), rows=(ROWS, 300))


class Chunks:
    """Stands in for a reader of many chunks."""

    element_spec = {"label": tf.TensorSpec([None, 1], tf.float32)}  # noqa: RUF012

    def __init__(self, chunks: int, size_bytes: int = 0, error: OSError | None = None) -> None:
        self.size_bytes, self.most_alive = size_bytes, 0
        self._chunks, self._error = chunks, error

    def parsed(self) -> "Chunks":
        return self

    def as_numpy_iterator(self):
        alive: weakref.WeakSet = weakref.WeakSet()
        for number in range(self._chunks):
            chunk = Chunk.of(number)
            alive.add(chunk)
            self.most_alive = max(self.most_alive, len(alive))
            yield {"label": chunk}
            del chunk
        if self._error:
            raise self._error


class Chunk(np.ndarray):
    """An array that a set can hold."""

    __hash__ = object.__hash__

    @classmethod
    def of(cls, number: int) -> "Chunk":
        return np.full((10, 1), number, np.float32).view(cls)


def sorted_rows(columns) -> np.ndarray:
    rows = np.concatenate([columns[name] for name in ("floats", "ids", "label")], axis=1)
    return rows[np.lexsort(rows.T)]


def test_the_columns_are_those_of_the_shards_and_stay_on_disk(examples, tmp_path):
    reader = Reader(*examples, TRAIN)
    kept, expected = disk_cache.columns(reader, tmp_path / "cache" / "train"), reader.columns()
    assert kept.keys() == expected.keys()
    for name, values in expected.items():
        assert isinstance(kept[name], np.memmap)
        assert kept[name].dtype == values.dtype
        assert np.array_equal(kept[name], values)


@pytest.mark.parametrize("use", ["floats", "ids"])
def test_a_column_that_is_not_there_is_left_out(tmp_path, use):
    described = write_examples(tmp_path / "examples", make_transform(use=use), rows=(90, 30))
    kept = disk_cache.columns(Reader(tmp_path / "examples", described, TRAIN), tmp_path / "cache")
    assert kept.keys() == {use, "label"}


def test_an_epoch_has_every_example_once(examples, tmp_path):
    columns = disk_cache.columns(Reader(*examples, TRAIN), tmp_path / "cache")
    epochs = from_columns(columns, batch_sizes(ROWS, 7), 3, BEGINNING)
    for epoch in (epochs.take(7), epochs.skip(7).take(7)):
        batches = [{**inputs, "label": label} for inputs, label in epoch.as_numpy_iterator()]
        read = {name: np.concatenate([batch[name] for batch in batches]) for name in columns}
        assert np.array_equal(sorted_rows(read), sorted_rows(columns))


@pytest.mark.parametrize("processes", [2, 3])  # three shards: by record and by file
def test_processes_keep_their_share(examples, tmp_path, processes):
    shares = [
        disk_cache.columns(Reader(*examples, TRAIN, Share(index, processes)), tmp_path / f"{index}")
        for index in range(processes)
    ]
    everything = {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}
    assert np.array_equal(sorted_rows(everything), sorted_rows(Reader(*examples, TRAIN).columns()))


def test_what_is_kept_is_not_parsed_again(examples, tmp_path):
    reader = Reader(*examples, TRAIN)
    first = disk_cache.columns(reader, tmp_path / "cache")
    shutil.rmtree(examples[0])
    again = disk_cache.columns(reader, tmp_path / "cache")
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_a_process_that_was_killed_while_it_wrote_leaves_nothing_that_is_read(examples, tmp_path):
    folder = tmp_path / "caches" / "train"
    unfinished = folder.parent / ".train.abc.tmp"
    unfinished.mkdir(parents=True)
    (unfinished / "label.bin").write_bytes(b"half")
    kept = disk_cache.columns(Reader(*examples, TRAIN), folder)
    assert len(kept["label"]) == ROWS
    assert [path.name for path in folder.parent.iterdir()] == ["train"]


def test_few_chunks_are_in_memory_at_a_time(tmp_path):
    chunks = Chunks(200)
    kept = disk_cache.columns(chunks, tmp_path / "cache")
    assert chunks.most_alive <= 2
    assert np.array_equal(kept["label"][:, 0], np.repeat(np.arange(200), 10))


def test_no_examples_are_no_rows(tmp_path):
    assert disk_cache.columns(Chunks(0), tmp_path / "cache")["label"].shape == (0, 1)


def test_no_room_is_found_out_before_writing(tmp_path):
    with pytest.raises(UserError, match=r"train\.cache is disk, but the examples take 1,099,511,627,776 MiB and "):
        disk_cache.columns(Chunks(1, size_bytes=2**60), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_while_writing_leaves_nothing(tmp_path, code):
    with pytest.raises(UserError, match=r"make room there, or set train\.cache to none"):
        disk_cache.columns(Chunks(1, error=OSError(code, "full")), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_the_disk_is_not_called_no_room(tmp_path):
    with pytest.raises(OSError, match="broken"):
        disk_cache.columns(Chunks(1, error=OSError(errno.EIO, "broken")), tmp_path / "cache")


@pytest.mark.parametrize("damaged", ["floats.bin", "columns.json"])
def test_a_damaged_cache_is_written_again(examples, tmp_path, damaged):
    reader = Reader(*examples, TRAIN)
    disk_cache.columns(reader, tmp_path / "cache")
    path = tmp_path / "cache" / damaged
    path.write_bytes(path.read_bytes()[:-5])
    again = disk_cache.columns(reader, tmp_path / "cache")
    assert all(np.array_equal(again[name], values) for name, values in reader.columns().items())
