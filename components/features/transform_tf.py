"""The transform in TensorFlow: maps the rows of training, and is part of every SavedModel."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from components.features.boolean_tf import BooleanGraph
from components.features.category_tf import CategoryGraph
from components.features.columns_tf import TENSOR_TYPES, RawTensors, no_floats, no_ids
from components.features.cross_tf import CrossGraph
from components.features.datetime_tf import DatetimeGraph
from components.features.image import Image
from components.features.image_tf import ImageGraph
from components.features.numeric_tf import NumericGraph
from components.features.transform import Transform

GRAPHS: dict[str, Callable[[Any, Any], tf.Module]] = {
    "numeric": NumericGraph,
    "category": CategoryGraph,
    "cross": CrossGraph,
    "datetime": DatetimeGraph,
    "boolean": BooleanGraph,
}
"""The TensorFlow form of each kind but `image`: `(feature, learned)` → a module: raw columns to floats and ids."""


class TransformGraph(tf.Module):
    """A transform as TensorFlow ops, with its constants inside: a SavedModel of it needs no other file.

    Attributes:
        transform: the `tf.function` behind a call, with the fixed signature `raw_signature`; it is what a loaded
            SavedModel of the module offers.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._columns = transform.source_columns
        constants = transform.constants
        packed = [feature for feature in transform.features if not isinstance(feature, Image)]
        self._graphs = [GRAPHS[feature.kind](feature, constants[feature.name]) for feature in packed]
        image = next((feature for feature in transform.features if isinstance(feature, Image)), None)
        self._image = None if image is None else ImageGraph(image)
        self.transform = tf.function(self._compute, input_signature=[raw_signature(transform)], autograph=False)

    def __call__(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        """Computes all features.

        Args:
            raw: dense columns of shape (batch,), at least the source columns; others are ignored.

        Returns:
            `floats` of shape (batch, F) float32 and `ids` of shape (batch, I) int64; where a feature is an image,
            `images` of shape (batch, height, width, channels) uint8.
        """
        return self.transform({name: raw[name] for name in self._columns})

    def _compute(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        column = raw[self._columns[0]]
        floats, ids = zip((no_floats(column), no_ids(column)), *(graph(raw) for graph in self._graphs))
        packed = {"floats": tf.concat(floats, axis=1), "ids": tf.concat(ids, axis=1)}
        return packed if self._image is None else {**packed, "images": self._image(raw)}


def raw_signature(transform: Transform) -> dict[str, tf.TensorSpec]:
    """The raw columns that a transform reads, as inputs of shape (batch,), named as `input_names` says."""
    columns, names = transform.data.columns, input_names(transform.source_columns)
    return {name: tf.TensorSpec([None], TENSOR_TYPES[columns[name].type], names[name]) for name in names}


def input_names(columns: Sequence[str]) -> dict[str, str]:
    """Column → name of its input in a SavedModel's signature: the same where TensorFlow takes it.

    TensorFlow takes ASCII letters, digits and underscores after a first letter, no two names that differ in case only,
    and not `self`. Other characters become underscores; a name taken already gets a number.
    """
    names: dict[str, str] = {}
    taken = {"self"}
    for column in columns:
        clean = re.sub(r"[^A-Za-z0-9_]", "_", column)
        clean = clean if re.match("[A-Za-z]", clean) else f"column_{clean}"
        choices = (clean, *(f"{clean}_{number}" for number in range(2, len(columns) + 2)))
        names[column] = next(name for name in choices if name.lower() not in taken)
        taken.add(names[column].lower())
    return names
