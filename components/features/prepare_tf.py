"""What a feature's constants are learned from: its raw columns, prepared, as the analyzers take them."""

import tensorflow as tf

from components.features import category_tf, numeric_tf
from components.features.category import Category
from components.features.columns import Data
from components.features.columns_tf import RawTensors
from components.features.declared import AnyFeature
from components.features.numeric import Numeric


def prepare(feature: AnyFeature, raw: RawTensors, data: Data) -> tf.Tensor:
    """The values to learn from.

    Args:
        feature: a feature whose `learns` is not "nothing".
        raw: dense columns of shape (batch,), at least the feature's `source_columns`.
        data: declares the columns.

    Returns:
        Shape (batch,): for moments and bounds float64, NaN where missing; for a vocabulary string, "" where missing.

    Raises:
        ValueError: the feature learns nothing, or its columns do not have the declared types.
    """
    feature.check(data)
    if isinstance(feature, Numeric) and feature.learns != "nothing":
        return numeric_tf.prepare(feature, raw)
    if isinstance(feature, Category) and feature.learns != "nothing":
        return category_tf.prepare(feature, raw)
    raise ValueError(f"feature {feature.name} learns nothing from data")
