"""Reads examples for training: from memory or a file where they fit, else streamed from the TFRecord shards.

The order of an epoch follows from the seed and its number, so that a training that was killed goes on with the very
next batch. An epoch is cut into batches of equal size, but for one example, and in each example comes once. Several
replicas take batches of exactly the same size in all steps, as collective operations demand: an epoch ends with a few
examples seen twice, and a process that has more examples than another leaves some out, each time others.

What is shuffled are chunks of up to 16 examples, of which a batch has at least 32: streamed, work done for each record
by itself costs more than the training; in memory, gathering rows one by one takes a tenth of its time. In memory the
examples are mixed before they are cut into chunks; on disk and in the shards a chunk holds random examples of one
shard. Xu et al., "In-Database Machine Learning with CorgiPile: Stochastic Gradient Descent without Full Data Shuffle"
(SIGMOD 2022), show that shuffled blocks that are mixed with others converge as a full shuffle does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components import artifacts
from components.errors import UserError
from components.features.pixels import PIXEL_SCALE
from components.learning.legacy_keras import tf
from components.learning.networks import FLOATS, IDS, IMAGES

LABEL = "label"
CHUNK_ROWS = 16
CHUNKS_PER_BATCH = 32
READ_ROWS = 4096
READ_PIXELS = 2**20
"""Read and judged at once at most: what a network computes of an image takes up to a hundred times its size."""
SHUFFLED_ROWS = 2**17
SHUFFLED_BYTES = 2**30
INTERLEAVED_SHARDS = 16
WINDOW_BYTES = 2**20
"""Read by one call, out of arrays: each call wakes threads that the steps need, and what is read should stay cached."""
QUEUED_BATCHES = 2
"""Ready in memory while one is trained on."""
_ENDLESS = np.iinfo(np.int64).max

Parts = tuple[str, ...]
"""`train`, `validation`, or both."""
Columns = dict[str, np.ndarray]
"""`floats` (rows, F) float32 and `ids` (rows, I) int32, each absent where its width is 0; with images `images` (rows,
height, width, channels) uint8; `label` (rows, 1) float32."""


@dataclass(frozen=True)
class Share:
    """Which part of the examples one of several processes reads."""

    index: int = 0
    processes: int = 1


WHOLE = Share()


@dataclass(frozen=True)
class Position:
    """Where in the examples a training goes on."""

    epoch: int = 0
    """Complete epochs."""
    step: int = 0
    """Batches taken of the next one."""


BEGINNING = Position()


class Reader:
    """The examples of an artifact of preprocess, or a process's share of them.

    Where the shards divide evenly among the processes, each reads its own shards; otherwise each reads all shards and
    keeps every n-th record.

    Attributes:
        rows: number of examples, of all processes.
        rows_at_once: examples that are read, and judged, together.
        by_file: whether each process reads shards of its own.
    """

    def __init__(self, folder: Path, examples: artifacts.Examples, parts: Parts, share: Share = WHOLE) -> None:
        """Takes the artifact.

        Args:
            folder: the artifact.
            examples: its description.
            parts: which examples.
            share: of this process.
        """
        by_part = [[str(path) for path in examples.paths(folder, part)] for part in parts]
        if not any(by_part):
            raise UserError(f"there are no {' or '.join(parts)} examples in {folder}; bring more data")
        self.rows = sum(examples.rows[part] for part in parts)
        self.by_file = all(len(paths) % share.processes == 0 for paths in by_part)
        start, step = (share.index, share.processes) if self.by_file else (0, 1)
        self._paths = [path for paths in by_part for path in paths[start::step]]
        self._share = share
        widths = {FLOATS: (len(examples.float_names), tf.float32), IDS: (len(examples.id_sizes), tf.int64)}
        self._format = {name: tf.io.FixedLenFeature([width], dtype) for name, (width, dtype) in widths.items() if width}
        self._format[LABEL] = tf.io.FixedLenFeature([1], tf.float32)
        self._image_shape = examples.image_shape
        self.rows_at_once = max(1, min(READ_ROWS, READ_PIXELS // math.prod(self._image_shape[:2])))
        if self._image_shape:
            self._format[IMAGES] = tf.io.FixedLenFeature([], tf.string)

    @property
    def size_bytes(self) -> int:
        """Memory that this process's examples take once they are parsed."""
        return self.rows * self._row_bytes // self._share.processes

    @property
    def _row_bytes(self) -> int:
        numbers = sum(feature.shape[0] for name, feature in self._format.items() if name != IMAGES)
        return 4 * numbers + (math.prod(self._image_shape) if self._image_shape else 0)

    def parsed(self) -> tf.data.Dataset:
        """Dicts of columns of up to `rows_at_once` examples, in an order that is always the same."""
        shards = tf.data.Dataset.from_tensor_slices(self._paths)
        return self._chunks(shards, self.rows_at_once).map(self._parse, num_parallel_calls=tf.data.AUTOTUNE)

    def columns(self, rows: int | None = None) -> Columns:
        """Examples as arrays, in an order that is always the same.

        Args:
            rows: how many of the first rows; None for all.
        """
        chunks = self.parsed()
        if rows is not None:
            chunks = chunks.unbatch().take(rows).batch(self.rows_at_once)
        read = list(chunks.as_numpy_iterator())
        if not read:
            raise UserError(f"one of {self._share.processes} processes has no example to read; lower train.workers")
        return {name: np.concatenate([chunk[name] for chunk in read]) for name in self._format}

    def in_order(self) -> tf.data.Dataset:
        """(inputs, label) batches of one epoch as the examples lie on disk, read anew in each."""
        return self.parsed().map(split).prefetch(tf.data.AUTOTUNE)

    def streamed(self, sizes: np.ndarray, seed: int | None, position: Position) -> tf.data.Dataset:
        """(inputs, label) batches of endless epochs, read anew in each.

        Args:
            sizes: of the batches of an epoch (`batch_sizes`).
            seed: of the order; None for another one in each run.
            position: where to begin.
        """
        chunk = _chunk_rows(sizes)
        shuffled = max(1, min(SHUFFLED_ROWS, SHUFFLED_BYTES // self._row_bytes) // chunk)

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            order = _seed_of(seed, number)[1]
            shards = tf.data.Dataset.from_tensor_slices(self._paths).shuffle(len(self._paths), seed=order)
            mixed = self._chunks(shards, chunk).shuffle(shuffled, seed=order).repeat()
            batches = mixed.rebatch(tf.constant(sizes, tf.int64)).take(len(sizes))
            return batches.skip(_first_step(number, position))

        batches = _epochs(position).flat_map(epoch).map(self._parse, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.map(split).prefetch(tf.data.AUTOTUNE)

    def _records(self, shard: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(shard, compression_type="GZIP", buffer_size=2**20)
        return records if self.by_file else records.shard(self._share.processes, self._share.index)

    def _chunks(self, shards: tf.data.Dataset, rows: int) -> tf.data.Dataset:
        """Serialized records, up to so many of a shard at a time."""
        return shards.interleave(
            lambda shard: self._records(shard).batch(rows),
            cycle_length=INTERLEAVED_SHARDS,
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def _parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, self._format)
        if IDS in parsed:
            parsed[IDS] = tf.cast(parsed[IDS], tf.int32)
        if IMAGES in parsed:
            pixels = tf.io.decode_raw(parsed[IMAGES], tf.uint8, fixed_length=math.prod(self._image_shape))
            parsed[IMAGES] = tf.reshape(pixels, [-1, *self._image_shape])
        return parsed


def batch_sizes(rows: int, steps: int, replicas: int = 1, own_replicas: int = 1) -> np.ndarray:
    """The sizes of the batches that a process takes in an epoch, (steps * own_replicas,) int64.

    Args:
        rows: examples, of all processes.
        steps: in an epoch; each takes a batch for each replica.
        replicas: of all processes.
        own_replicas: of this one.
    """
    if replicas == 1:
        return np.diff(np.arange(steps + 1, dtype=np.int64) * rows // steps)
    return np.full(steps * own_replicas, math.ceil(rows / (replicas * steps)), np.int64)


def from_columns(
    columns: Columns, sizes: np.ndarray, seed: int | None, position: Position = BEGINNING
) -> tf.data.Dataset:
    """(inputs, label) batches of endless epochs, out of arrays.

    Arrays that are mapped from a file (`numpy.memmap`) stay there: only the rows of the next batches are read.

    Args:
        columns: the process's examples.
        sizes: of the batches of an epoch (`batch_sizes`).
        seed: of the order; None for another one in each run.
        position: where to begin.
    """
    rows, width = len(columns[LABEL]), _chunk_rows(sizes)
    chunk_bytes = width * sum(values[:1].nbytes for values in columns.values())
    order = _Order(rows, width, math.ceil(max(WINDOW_BYTES / chunk_bytes, sizes[0] / width)), seed)
    if any(isinstance(values, np.memmap) for values in columns.values()):
        batches = order.batches(_from_file(columns, order), sizes, position, tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)
    # One thread is far ahead of any step; more of them, and a longer queue, only take the steps' cores and caches.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return order.batches(_from_memory(columns, order), sizes, position).prefetch(QUEUED_BATCHES).with_options(options)


def _chunk_rows(sizes: np.ndarray) -> int:
    """How many examples stay together: few of them, so that a small batch mixes too."""
    return max(1, min(CHUNK_ROWS, int(sizes[0]) // CHUNKS_PER_BATCH))


@dataclass(frozen=True)
class _Order:
    """In which order rows are taken, and how many at once.

    Attributes:
        rows: number of rows.
        width: rows of a chunk; the first chunk is filled up in front, with rows of the end.
        window: chunks that are read at once.
        seed: of the order; None for another one in each run.
    """

    rows: int
    width: int
    window: int
    seed: int | None

    @property
    def chunks(self) -> int:
        return math.ceil(self.rows / self.width)

    def rows_of(self, chunks: np.ndarray) -> np.ndarray:
        """The numbers of the rows of chunks (C,), one after the other, (C * width,)."""
        return ((chunks[:, None] * self.width + np.arange(self.width)).ravel() - (-self.rows % self.width)) % self.rows

    def draw(self, epoch: np.ndarray) -> np.ndarray:
        """The chunks of an epoch, each once."""
        # By numpy: TensorFlow's permutation sorts, which takes thirty times as long.
        generator = np.random.default_rng(None if self.seed is None else (self.seed, int(epoch)))
        # The chunk that is filled up comes first: so no batch has a gap, and no row is always left out at the end.
        filled = int(self.rows % self.width > 0)
        return np.concatenate([np.arange(filled), filled + generator.permutation(self.chunks - filled)])

    def batches(
        self, read: "Read", sizes: np.ndarray, position: Position, parallel: int | None = None
    ) -> tf.data.Dataset:
        """(inputs, label) batches of endless epochs; an epoch's order is drawn while the one before is trained on.

        Args:
            read: gives the rows of chunks.
            sizes: of the batches of an epoch.
            position: where to begin.
            parallel: windows that are read side by side.
        """
        ends = tf.constant(np.cumsum([-self.rows % self.width, *sizes]))
        window_rows, passes = self.window * self.width, math.ceil(sizes.sum() / self.rows)

        def order(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            drawn = tf.ensure_shape(tf.numpy_function(self.draw, [number], np.int64), [self.chunks])
            return number, tf.tile(drawn, [passes])

        def epoch(number: tf.Tensor, order: tf.Tensor) -> tf.data.Dataset:
            step = _first_step(number, position)

            def rows(index: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
                columns = read(order[index * self.window : (index + 1) * self.window])
                begin = tf.maximum(ends[step] - index * window_rows, 0)
                return split({name: values[begin:] for name, values in columns.items()})

            windows = tf.data.Dataset.range(ends[step] // window_rows, (ends[-1] - 1) // window_rows + 1)
            taken = windows.map(rows, num_parallel_calls=parallel)
            return taken.rebatch(tf.constant(sizes, tf.int64)[step:]).take(len(sizes) - step)

        return _epochs(position).map(order).prefetch(1).flat_map(epoch)


Read = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""Columns of the rows of chunks (C,) int64."""


def _from_memory(columns: Columns, order: _Order) -> Read:
    # Mixed once: rows that lie side by side come from one shard, and may be more alike than those of a batch should be.
    mixed = np.random.default_rng(order.seed).permutation(order.rows)[order.rows_of(np.arange(order.chunks))]
    chunks = {
        name: tf.convert_to_tensor(values[mixed].reshape(-1, order.width, *values.shape[1:]))
        for name, values in columns.items()
    }

    def read(numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        taken = {name: tf.gather(values, numbers) for name, values in chunks.items()}
        return {name: tf.reshape(values, [-1, *values.shape[2:]]) for name, values in taken.items()}

    return read


def _from_file(columns: Columns, order: _Order) -> Read:
    names = list(columns)

    def take(numbers: np.ndarray) -> list[np.ndarray]:
        rows = order.rows_of(numbers)
        return [columns[name][rows] for name in names]

    def read(numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        taken = tf.numpy_function(take, [numbers], [columns[name].dtype for name in names], stateful=False)
        return {name: tf.ensure_shape(values, [None, *columns[name].shape[1:]]) for name, values in zip(names, taken)}

    return read


def _seed_of(seed: int | None, number: tf.Tensor) -> tf.Tensor:
    """The seed of an epoch's order, (2,) int64."""
    # Without a seed the clock is asked: TensorFlow's own random numbers would follow from the program's seed.
    first = tf.cast(tf.timestamp() * 1e6, tf.int64) if seed is None else tf.constant(seed, tf.int64)
    own = tf.stack([first, number])
    return tf.random.stateless_uniform([2], own, 0, _ENDLESS, tf.int64)


def _epochs(position: Position) -> tf.data.Dataset:
    return tf.data.Dataset.range(position.epoch, _ENDLESS)


def _first_step(number: tf.Tensor, position: Position) -> tf.Tensor:
    return tf.where(number == position.epoch, np.int64(position.step), np.int64(0))


def split(columns: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """A network's inputs, and the label, of columns of examples."""
    inputs = dict(columns)
    if IMAGES in inputs:
        inputs[IMAGES] = scaled(inputs[IMAGES])
    return inputs, inputs.pop(LABEL)


def scaled(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels of uint8 as the numbers that the network sees, float32 in [0, 1]."""
    return tf.cast(pixels, tf.float32) * PIXEL_SCALE
