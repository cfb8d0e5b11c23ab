"""int8: weights and activations are int8, with ranges measured on training examples."""

from components.compress.source import Source
from components.learning.legacy_keras import tf

CALIBRATION_ROWS = 2048


def convert(source: Source) -> bytes:
    """The network as a LiteRT model of int8 operations only; floats and output stay float32 at its border."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([source.function], source.network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    # One batch, because all batches must be of one size; a dict, because the order of the inputs is not defined.
    converter.representative_dataset = lambda: iter([source.inputs(CALIBRATION_ROWS)])
    return converter.convert()
