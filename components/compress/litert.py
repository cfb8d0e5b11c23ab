"""What lies in the file of a LiteRT model: what is dead weight in it, and how many weights it has."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.learning.legacy_keras import tf

# isort: split
# TensorFlow reads what legacy_keras sets when it is first imported.
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.lite.tools import flatbuffer_utils

__all__ = ["ConverterError", "Weights", "count", "stripped"]
TYPES = {code: tf.dtypes.as_dtype(name).as_numpy_dtype for code, name in ((0, "float32"), (1, "float16"), (9, "int8"))}
"""Types of weights, by their numbers in LiteRT's schema."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model: its constants with two dimensions or more. Biases and scales are not counted."""

    parameters: int
    zeros: int

    @property
    def sparsity(self) -> float:
        """Share of the weights that are zero, by rounding too."""
        return self.zeros / self.parameters if self.parameters else 0.0


def stripped(content: bytes) -> bytes:
    """A model without what running it does not need; it predicts the same, bit for bit.

    Names of tensors stay at the border only, where the predictor knows them by their names. The ranges that were
    measured for quantization go; scales and zero points stay.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    model.metadata = model.description = None
    for graph in model.subgraphs:
        border = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in border:
                tensor.name = None
            _strip_quantization(tensor)
    _drop_buffers(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def count(content: bytes) -> Weights:
    """Counts the weights that a model is served with; one in the sparse format as if it were dense."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    parameters = nonzero = 0
    seen = set()
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.type not in TYPES or len(_list(tensor.shape)) < 2 or tensor.buffer in seen:
            continue
        seen.add(tensor.buffer)
        parameters += int(np.prod(tensor.shape))
        points = _list(tensor.quantization.zeroPoint if tensor.quantization else None)
        # Each channel of a matrix has a zero point; they are all 0 where there are several.
        nonzero += int(np.count_nonzero(np.frombuffer(bytes(data), TYPES[tensor.type]) != (points or [0])[0]))
    return Weights(parameters, parameters - nonzero)


def _strip_quantization(tensor: Any) -> None:
    quantization = tensor.quantization
    if quantization is None:
        return
    quantization.min = quantization.max = None
    if quantization.scale is None and quantization.details is None:
        tensor.quantization = None


def _drop_buffers(model: Any) -> None:
    """Leaves the buffers of constants, after the empty first one that all other tensors share."""
    kept = [model.buffers[0]]
    places = {0: 0}
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        if model.buffers[tensor.buffer].data is None:
            tensor.buffer = 0
        if tensor.buffer not in places:
            places[tensor.buffer] = len(kept)
            kept.append(model.buffers[tensor.buffer])
        tensor.buffer = places[tensor.buffer]
    model.buffers = kept


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)
