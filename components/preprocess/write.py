"""Writes the examples: TFRecord shards and the raw held-out rows, on Apache Beam."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamples

from components.features.arrow import dense
from components.features.columns import Data
from components.features.declared import Features
from components.features.labels import label_numbers
from components.features.transform import source_columns
from components.preprocess.beam_pipeline import beam_pipeline
from components.preprocess.pieces import Piece, Shard

ROW_GROUP_ROWS = 16_384
GZIP_LEVEL = 1
"""The fastest: a third larger than level 6, in a third of the time."""


def write_shards(shards: Sequence[Shard], graph: Path, features: Features, data: Data, folder: Path) -> None:
    """Writes one gzip TFRecord file for each shard; memory holds one shard's examples at a time.

    Args:
        shards: what to write.
        graph: the SavedModel of the transform.
        features: declare which columns it reads.
        data: declares the columns.
        folder: where the files go.
    """
    with beam_pipeline() as pipeline:
        writer = WriteShard(str(graph), source_columns(features), data, str(folder))
        _ = pipeline | beam.Create(shards) | beam.ParDo(writer)


class WriteShard(beam.DoFn):
    """Reads, transforms, shuffles, encodes and writes a shard."""

    def __init__(self, graph: str, columns: tuple[str, ...], data: Data, folder: str) -> None:
        super().__init__()
        self._graph = graph
        self._columns = columns
        self._data = data
        self._folder = folder

    def setup(self) -> None:
        """Loads the transform graph."""
        self._transform = tf.saved_model.load(self._graph).transform

    def process(self, shard: Shard) -> Iterator[str]:
        """Writes a shard; yields its name."""
        floats, ids, labels = (np.concatenate(columns) for columns in zip(*map(self._examples, shard.pieces)))
        order = np.random.default_rng(shard.seed).permutation(shard.rows)
        columns = {"floats": floats[order], "ids": ids[order], "label": labels[order]}
        write_records(Path(self._folder) / shard.name, RecordBatchToExamples(_record_batch(columns)))
        yield shard.name

    def _examples(self, piece: Piece) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = piece.read(tuple(dict.fromkeys((*self._columns, self._data.label))))
        packed = self._transform(dense(table, self._data, self._columns))
        labels = label_numbers(table.column(self._data.label), self._data)
        return packed["floats"].numpy(), packed["ids"].numpy(), labels[:, None]


def write_records(path: Path, records: Sequence[bytes]) -> None:
    """Writes a gzip TFRecord file atomically."""
    beside = path.with_name(f".{path.name}.tmp")
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=GZIP_LEVEL)
    with tf.io.TFRecordWriter(str(beside), options) as writer:
        for record in records:
            writer.write(record)
    beside.replace(path)


def write_rows(pieces: Sequence[Piece], schema: pa.Schema, path: Path) -> None:
    """Writes raw rows as Parquet, in row groups of 16,384; memory holds two row groups at a time.

    Args:
        pieces: the rows, in order.
        schema: the columns, in their canonical types.
        path: the file.
    """
    beside = path.with_name(f".{path.name}.tmp")
    waiting = schema.empty_table()
    with pq.ParquetWriter(beside, schema) as writer:
        for piece in pieces:
            waiting = pa.concat_tables([waiting, piece.read(schema.names).cast(schema)])
            whole = waiting.num_rows - waiting.num_rows % ROW_GROUP_ROWS
            writer.write_table(waiting.slice(0, whole), ROW_GROUP_ROWS)
            waiting = waiting.slice(whole)
        writer.write_table(waiting, ROW_GROUP_ROWS)
    beside.replace(path)


def _record_batch(columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    """Arrays (rows, width) as a record batch of lists."""
    lists = {
        name: pa.LargeListArray.from_arrays(np.arange(len(values) + 1) * values.shape[1], values.ravel())
        for name, values in columns.items()
    }
    return pa.RecordBatch.from_pydict(lists)
