"""What a format converts: a network, and examples to calibrate on."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.compress.candidate import Candidate
from components.learning import networks
from components.learning.input import Reader, split
from components.learning.legacy_keras import tf

Inputs = dict[str, np.ndarray]
"""`floats`, `ids` and `images`, each where the network has it."""
CALIBRATION_ROWS = 2048
LEAST_CALIBRATION_ROWS = 256
"""However large images are: the ranges of a handful of them are not those of all."""


class Source:
    """A network, ready to be converted.

    Args:
        candidate: the network.
        examples: artifact of preprocess that it was trained on.
    """

    def __init__(self, candidate: Candidate, examples: Path) -> None:
        network = candidate.served()
        call = tf.function(lambda **inputs: network(inputs, training=False))
        self._function = call.get_concrete_function(**networks.input_signature(candidate.spec))
        # The converter saves what holds the variables: of a Keras network it would trace every layer, as in training.
        self._holder = tf.Module()
        self._holder.held = network.variables
        self._examples = examples

    def converter(self) -> Any:
        """A LiteRT converter of the network as a function of its inputs, with a free batch dimension."""
        tf.get_logger().setLevel(logging.WARNING)  # it tells where it saves, and how it names each weight
        return tf.lite.TFLiteConverter.from_concrete_functions([self._function], self._holder)

    def inputs(self) -> Iterator[Inputs]:
        """The network's inputs to calibrate on."""
        return calibration(self._examples)


def calibration(examples: Path) -> Iterator[Inputs]:
    """The network's inputs in at most CALIBRATION_ROWS training examples, the same ones each time.

    Yields:
        batches of one size: one, or as many small ones of large images as LEAST_CALIBRATION_ROWS need.
    """
    reader = Reader(examples, artifacts.Examples.read(examples), ("train",))
    rows = min(CALIBRATION_ROWS, reader.rows_at_once, reader.rows)
    batches = min(math.ceil(LEAST_CALIBRATION_ROWS / rows), reader.rows // rows)
    chosen = reader.parsed().unbatch().take(rows * batches).batch(rows).map(split)
    return (inputs for inputs, _ in chosen.as_numpy_iterator())
