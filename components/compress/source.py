"""What every recipe converts: the trained network, and examples to calibrate on."""

from pathlib import Path

import numpy as np

from components import artifacts
from components.learning import networks, weights
from components.learning.input import LABEL, Reader
from components.learning.legacy_keras import tf, tf_keras


class Source:
    """A trained network, ready to be converted.

    Args:
        model: artifact of train.
        examples: artifact of preprocess that it was trained on.

    Attributes:
        spec: what the network was built from.
        network: with its trained weights.
        function: the network as a concrete function of `floats` and `ids`, with a free batch dimension.
    """

    def __init__(self, model: Path, examples: Path) -> None:
        self.spec = networks.NetworkSpec.read(model)
        self.network: tf_keras.Model = networks.build(self.spec)
        weights.load(self.network, model)
        call = tf.function(lambda **inputs: self.network(inputs, training=False))
        self.function = call.get_concrete_function(**networks.input_signature(self.spec))
        self._examples = examples

    def inputs(self, rows: int) -> dict[str, np.ndarray]:
        """The network's inputs in at most `rows` training examples."""
        columns = Reader(self._examples, artifacts.Examples.read(self._examples), ("train",)).columns(rows)
        return {name: values for name, values in columns.items() if name != LABEL}
