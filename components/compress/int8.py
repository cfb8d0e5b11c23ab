"""int8: integers from input to output: weights and activations are int8, with ranges measured on training examples."""

from typing import Any

from components.compress.source import Source
from components.learning.legacy_keras import tf


def convert(source: Source) -> bytes:
    """The network as a LiteRT model of int8 operations only; its inputs and its output are int8, ids stay int32."""
    converter = integer_converter(source)
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def integer_converter(source: Source) -> Any:
    """A converter to int8 operations only, with float32 at the model's border."""
    converter = source.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    # Batches must be of one size; and dicts, because the order of the inputs is not defined.
    converter.representative_dataset = source.inputs
    return converter
