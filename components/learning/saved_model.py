"""Exports a SavedModel for TensorFlow Serving: raw columns in, prediction out, the transform inside."""

from pathlib import Path

from components import artifacts
from components.features.transform import Transform
from components.features.transform_tf import TransformGraph, raw_signature
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import IDS, OUTPUT

SIGNATURE = "serving_default"


class RawModel(tf.Module):
    """The transform and a network on top of it."""

    def __init__(self, transform: Transform, network: tf_keras.Model) -> None:
        super().__init__()
        self._transform = TransformGraph(transform)
        self._network = network
        self.predict = tf.function(self._predict, input_signature=[raw_signature(transform)], autograph=False)

    def _predict(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = self._transform(raw)
        inputs = {name: inputs[name] for name in self._network.input}
        if IDS in inputs:
            inputs[IDS] = tf.cast(inputs[IDS], tf.int32)
        return {OUTPUT: self._network(inputs, training=False)}


def export(network: tf_keras.Model, transform: Transform, folder: Path) -> None:
    """Writes `saved_model/`; `tf.saved_model.load` reads it without any of our code.

    Its signature `serving_default` takes each source column as (batch,) (see `raw_signature`) and gives `output`
    (batch, 1) or (batch, classes) float32.
    """
    module = RawModel(transform, network)
    tf.saved_model.save(
        module, str(folder / artifacts.SAVED_MODEL), signatures={SIGNATURE: module.predict.get_concrete_function()}
    )
