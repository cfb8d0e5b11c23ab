"""Pieces of a snapshot as the Arrow record batches that TensorFlow Transform analyzes."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from components.features.arrow import dense
from components.features.columns import ColumnType, Data
from components.preprocess.pieces import Piece

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.large_binary(),
    "integer": pa.int64(),
    "float": pa.float32(),
    "boolean": pa.int64(),
    "timestamp": pa.int64(),
}


IS_NEW = "is_new"
"""A column of its own, int64: 1 for the rows that the base has not seen."""


class RecordBatches:
    """Columns in their dense form, under aliases: TensorFlow does not take every name that a column may have."""

    def __init__(self, names: Sequence[str], data: Data) -> None:
        self._data = data
        self.aliases = {name: f"column_{place}" for place, name in enumerate(names)}
        types = {alias: ARROW_TYPES[data.columns[name].type] for name, alias in self.aliases.items()}
        types[IS_NEW] = pa.int64()
        # The tensor adapter wants every value in a list of its own.
        self.schema = pa.schema([(alias, pa.large_list(kind)) for alias, kind in types.items()])

    def read(self, piece: Piece, is_new: bool) -> pa.RecordBatch:
        """The rows of a piece, which the base has all seen or has not."""
        names = tuple(self.aliases)
        raw = dense(piece.read(names), self._data, names)
        columns = [*(raw[name] for name in names), np.full(len(piece.rows), is_new, np.int64)]
        offsets = pa.array(np.arange(len(piece.rows) + 1))
        arrays = [
            pa.LargeListArray.from_arrays(offsets, pa.array(values, field.type.value_type))
            for values, field in zip(columns, self.schema)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def adapter(self) -> TensorAdapterConfig:
        """How each column of the schema becomes a tensor of shape (batch,)."""
        representations = {}
        for alias in self.schema.names:
            representation = schema_pb2.TensorRepresentation()
            representation.dense_tensor.column_name = alias
            representation.dense_tensor.shape.SetInParent()
            representations[alias] = representation
        return TensorAdapterConfig(self.schema, representations)
