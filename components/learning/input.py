"""Reads examples for training: from memory where they fit, else streamed from the TFRecord shards.

In memory every epoch is a new permutation of all rows. Streamed, records are batched inside each shard before they are
interleaved, shuffled and parsed: work done per record costs more than the training itself (FACTS.md, section 7).
"""

from pathlib import Path

import numpy as np

from components import artifacts
from components.learning.legacy_keras import tf
from components.learning.networks import FLOATS, IDS

LABEL = "label"
CHUNK_ROWS = 16
READ_ROWS = 4096
SHUFFLED_ROWS = 2**17
INTERLEAVED_SHARDS = 16

Parts = tuple[str, ...]
"""`train`, `validation`, or both."""
Columns = dict[str, np.ndarray]
"""`floats` (rows, F) float32 and `ids` (rows, I) int32, each absent where its width is 0; `label` (rows, 1) float32."""


class Reader:
    """The examples of an artifact of preprocess.

    Args:
        folder: the artifact.
        examples: its description.
    """

    def __init__(self, folder: Path, examples: artifacts.Examples) -> None:
        self._folder = folder
        self._examples = examples
        widths = {FLOATS: (len(examples.float_names), tf.float32), IDS: (len(examples.id_sizes), tf.int64)}
        self._format = {name: tf.io.FixedLenFeature([width], dtype) for name, (width, dtype) in widths.items() if width}
        self._format[LABEL] = tf.io.FixedLenFeature([1], tf.float32)

    def rows(self, parts: Parts) -> int:
        """Number of examples."""
        return sum(self._examples.rows[part] for part in parts)

    def size_bytes(self, parts: Parts) -> int:
        """Memory that the examples take once they are parsed."""
        width = len(self._examples.float_names) + len(self._examples.id_sizes) + 1
        return self.rows(parts) * width * 4

    def columns(self, parts: Parts, rows: int | None = None) -> Columns:
        """Examples as arrays, in an order that is always the same.

        Args:
            parts: which examples.
            rows: how many of the first rows; None for all.
        """
        chunks = self._shards(parts).interleave(
            lambda shard: _records(shard).batch(READ_ROWS).map(self._parse),
            cycle_length=INTERLEAVED_SHARDS,
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        if rows is not None:
            chunks = chunks.unbatch().take(rows).batch(READ_ROWS)
        parsed = list(chunks.as_numpy_iterator())
        return {name: np.concatenate([chunk[name] for chunk in parsed]) for name in self._format}

    def streamed(self, parts: Parts, batch_size: int, seed: int | None) -> tf.data.Dataset:
        """Examples read anew in each epoch, as (inputs, label) batches; shuffled unless `seed` is None."""
        shards = self._shards(parts)
        if seed is not None:
            shards = shards.shuffle(len(shards), seed=seed)
        chunks = shards.interleave(
            lambda shard: _records(shard).batch(CHUNK_ROWS),
            cycle_length=INTERLEAVED_SHARDS,
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        if seed is not None:
            chunks = chunks.shuffle(SHUFFLED_ROWS // CHUNK_ROWS, seed=seed)
        batches = chunks.rebatch(batch_size).map(self._parse, num_parallel_calls=tf.data.AUTOTUNE).map(_split)
        count = -(-self.rows(parts) // batch_size)
        return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(tf.data.AUTOTUNE)

    def _shards(self, parts: Parts) -> tf.data.Dataset:
        paths = [str(path) for part in parts for path in self._examples.paths(self._folder, part)]
        return tf.data.Dataset.from_tensor_slices(paths)

    def _parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, self._format)
        if IDS in parsed:
            parsed[IDS] = tf.cast(parsed[IDS], tf.int32)
        return parsed


def dataset(
    folder: Path, examples: artifacts.Examples, parts: Parts, batch_size: int, seed: int | None, cache_bytes: int
) -> tf.data.Dataset:
    """Examples as batches for `fit`: every example once an epoch, the last batch as small as it is.

    Args:
        folder: the artifact of preprocess.
        examples: its description.
        parts: which examples.
        batch_size: examples per batch.
        seed: of the order, which differs from epoch to epoch; None leaves the order as it is on disk.
        cache_bytes: examples up to this size are kept in memory.

    Returns:
        (inputs, label) batches; inputs as `networks.build` names them, label (batch, 1) float32.
    """
    reader = Reader(folder, examples)
    if reader.size_bytes(parts) > cache_bytes:
        return reader.streamed(parts, batch_size, seed)
    return in_memory(reader.columns(parts), batch_size, seed)


def in_memory(columns: Columns, batch_size: int, seed: int | None) -> tf.data.Dataset:
    """(inputs, label) batches of arrays in memory; in a new order in each epoch unless `seed` is None."""
    tensors = {name: tf.constant(values) for name, values in columns.items()}
    count = len(columns[LABEL])
    rows = tf.data.Dataset.range(count)
    if seed is not None:
        rows = rows.shuffle(count, seed=seed)
    batches = rows.batch(batch_size).map(
        lambda batch: _split({name: tf.gather(values, batch) for name, values in tensors.items()}),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def _records(shard: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(shard, compression_type="GZIP", buffer_size=2**20)


def _split(parsed: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    inputs = dict(parsed)
    return inputs, inputs.pop(LABEL)
