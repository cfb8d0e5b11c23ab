"""What the transform graph gives for the first held-out rows, so that evaluate can hold the plain form against it."""

import io
from pathlib import Path

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components import artifacts
from components.features.arrow import arrow_schema, dense
from components.features.transform import Transform

EXPECTED_ROWS = 2048


def write_expected(transform: Transform, graph: Path, folder: Path) -> None:
    """Writes `heldout_expected.npz`: what the graph gives for at most 2,048 rows.

    `floats` (rows, F) float32, `ids` (rows, I) int64 and, with images, `images` (rows, height, width, channels) uint8.

    Args:
        transform: declares the columns that the graph reads.
        graph: the SavedModel of the transform.
        folder: the artifact, with `heldout.parquet` in it.
    """
    first = next(pq.ParquetFile(folder / artifacts.HELDOUT).iter_batches(EXPECTED_ROWS), None)
    rows = pa.Table.from_batches([first] if first else [], arrow_schema(transform.data))
    packed = tf.saved_model.load(str(graph)).transform(dense(rows, transform.data, transform.source_columns))
    content = io.BytesIO()
    np.savez(content, **{name: values.numpy() for name, values in packed.items()})
    artifacts.write_bytes(folder / artifacts.HELDOUT_EXPECTED, content.getvalue())
