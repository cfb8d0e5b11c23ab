"""Exports a SavedModel for TensorFlow Serving: raw columns in, prediction out, the transform inside."""

from pathlib import Path
from typing import Any

from components import artifacts
from components.features.columns import MISSING_INTEGER
from components.features.transform import Transform
from components.features.transform_tf import TransformGraph, raw_signature
from components.learning.input import scaled
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import IDS, IMAGES, OUTPUT

SIGNATURE = "serving_default"
EXAMPLES_SIGNATURE = "serve_examples"
EXAMPLES_INPUT = "examples"
MISSING: dict[tf.DType, Any] = {tf.string: "", tf.int64: MISSING_INTEGER, tf.float32: float("nan")}
"""What a column of each type holds where an example has no value for it (see `features.columns`)."""


class RawModel(tf.Module):
    """The transform and a network on top of it.

    Attributes:
        predict: raw columns of shape (batch,) → `output`.
        predict_examples: serialized tf.Examples of shape (batch,) → `output`.
    """

    def __init__(self, transform: Transform, network: tf_keras.Model) -> None:
        super().__init__()
        self._transform = TransformGraph(transform)
        self._network = network
        self._types = {name: spec.dtype for name, spec in raw_signature(transform).items()}
        self.predict = tf.function(self._predict, input_signature=[raw_signature(transform)], autograph=False)
        examples = tf.TensorSpec([None], tf.string, EXAMPLES_INPUT)
        self.predict_examples = tf.function(self._predict_examples, input_signature=[examples], autograph=False)

    def _predict(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = self._transform(raw)
        inputs = {name: inputs[name] for name in self._network.input}
        if IDS in inputs:
            inputs[IDS] = tf.cast(inputs[IDS], tf.int32)
        if IMAGES in inputs:
            inputs[IMAGES] = scaled(inputs[IMAGES])
        return {OUTPUT: self._network(inputs, training=False)}

    def _predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {
            name: tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True, default_value=MISSING[dtype])
            for name, dtype in self._types.items()
        }
        parsed = tf.io.parse_example(examples, features)
        return self._predict({name: _first_value(name, values) for name, values in parsed.items()})


def _first_value(name: str, values: tf.Tensor) -> tf.Tensor:
    """The only value of each example, (batch,), of values (batch, most values that an example has)."""
    most = tf.shape(values)[1]
    check = tf.debugging.assert_less_equal(most, 1, f"an example holds more than one value of {name}; give one or none")
    with tf.control_dependencies([check]):
        lacking = tf.identity(1 - most)
    return tf.pad(values, [[0, 0], [0, lacking]], constant_values=tf.constant(MISSING[values.dtype], values.dtype))[
        :, 0
    ]


def export(network: tf_keras.Model, transform: Transform, folder: Path) -> None:
    """Writes `saved_model/`; `tf.saved_model.load` reads it without any of our code, and without Keras or TFT.

    Its signatures give `output` (batch, 1) or (batch, classes) float32:

    - `serving_default` takes each source column as (batch,) (see `raw_signature`);
    - `serve_examples` takes `examples` (batch,), serialized tf.Examples with a feature for each source column, under
      the column's own name: text and images as bytes, floats as floats, everything else as int64. A feature that is
      absent or empty is missing; more than one value of a feature is an error, and so is another type.
    """
    module = RawModel(transform, network)
    signatures = {
        SIGNATURE: module.predict.get_concrete_function(),
        EXAMPLES_SIGNATURE: module.predict_examples.get_concrete_function(),
    }
    tf.saved_model.save(module, str(folder / artifacts.SAVED_MODEL), signatures=signatures)
