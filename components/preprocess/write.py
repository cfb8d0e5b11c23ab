"""Writes the examples: TFRecord shards and the raw held-out rows, on Apache Beam."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from components.preprocess.beam_pipeline import Workers
from components.preprocess.pieces import Piece, Shard
from components.preprocess.same_code import check_code, code_digests

ROW_GROUP_ROWS = 16_384
GZIP_LEVEL = 1
"""The fastest: a third larger than level 6, in a third of the time."""


def write_shards(shards: Sequence[Shard], graph: Path, features: Features, data: Data, workers: Workers) -> None:
    """Writes one gzip TFRecord file for each shard; a worker's memory holds one shard's examples at a time.

    Args:
        shards: what to write.
        graph: the SavedModel of the transform.
        features: declare which columns it reads.
        data: declares the columns.
        workers: do the work, and put the files into the artifact.
    """
    files = workers.files
    shown = [replace(shard, pieces=tuple(files.show_pieces(shard.pieces))) for shard in shards]
    writer = WriteShard(files.show_graph(graph), source_columns(features), data, files.shards)
    with workers.pipeline("write") as pipeline:
        _ = pipeline | beam.Create(shown) | beam.ParDo(writer)
    files.take(shards)


class WriteShard(beam.DoFn):
    """Reads, transforms, shuffles, encodes and writes a shard."""

    def __init__(self, graph: str, columns: tuple[str, ...], data: Data, folder: str) -> None:
        super().__init__()
        self._graph = graph
        self._columns = columns
        self._data = data
        self._folder = folder
        self._code = code_digests()

    def setup(self) -> None:
        """Loads the transform graph; refuses to run in a worker with other code."""
        check_code(self._code)
        self._transform = tf.saved_model.load(self._graph).transform

    def process(self, shard: Shard) -> Iterator[str]:
        """Writes a shard; yields its name."""
        pieces = [self._examples(piece) for piece in shard.pieces]
        order = np.random.default_rng(shard.seed).permutation(shard.rows)
        columns = {name: np.concatenate([piece[name] for piece in pieces])[order] for name in pieces[0]}
        write_records(f"{self._folder}/{shard.name}", RecordBatchToExamples(_record_batch(columns)))
        yield shard.name

    def _examples(self, piece: Piece) -> dict[str, np.ndarray]:
        table = piece.read(tuple(dict.fromkeys((*self._columns, self._data.label))))
        packed = self._transform(dense(table, self._data, self._columns))
        labels = label_numbers(table.column(self._data.label), self._data)
        return {**{name: values.numpy() for name, values in packed.items()}, "label": labels[:, None]}


def write_records(path: str, records: Sequence[bytes]) -> None:
    """Writes a gzip TFRecord file atomically, though another worker may be writing the same.

    Args:
        path: the file, in a folder or in a bucket that TensorFlow knows.
        records: what it holds.
    """
    folder, _, name = path.rpartition("/")
    beside = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=GZIP_LEVEL)
    with tf.io.TFRecordWriter(beside, options) as writer:
        for record in records:
            writer.write(record)
    tf.io.gfile.rename(beside, path, overwrite=True)


def write_rows(pieces: Sequence[Piece], schema: pa.Schema, path: Path, group_rows: int = ROW_GROUP_ROWS) -> None:
    """Writes raw rows as Parquet; memory holds two row groups at a time.

    Args:
        pieces: the rows, in order.
        schema: the columns, in their canonical types.
        path: the file.
        group_rows: rows of a row group.
    """
    beside = path.with_name(f".{path.name}.tmp")
    waiting = schema.empty_table()
    with pq.ParquetWriter(beside, schema) as writer:
        for piece in pieces:
            waiting = pa.concat_tables([waiting, piece.read(schema.names).cast(schema)])
            whole = waiting.num_rows - waiting.num_rows % group_rows
            writer.write_table(waiting.slice(0, whole), group_rows)
            waiting = waiting.slice(whole)
        writer.write_table(waiting, group_rows)
    beside.replace(path)


def _record_batch(columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    """Arrays (rows, width) as a record batch of lists; pixels (rows, height, width, channels) as bytes."""
    return pa.RecordBatch.from_pydict({name: _lists(values) for name, values in columns.items()})


def _lists(values: np.ndarray) -> pa.LargeListArray:
    if values.dtype == np.uint8:
        images = pa.array([pixels.tobytes() for pixels in values], pa.large_binary())
        return pa.LargeListArray.from_arrays(np.arange(len(values) + 1), images)
    return pa.LargeListArray.from_arrays(np.arange(len(values) + 1) * values.shape[1], values.ravel())
