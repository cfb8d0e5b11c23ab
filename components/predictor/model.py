"""A LiteRT model as a function of what a transform gives, in the types that it has and in batches of any size."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from components.features.pixels import PIXEL_SCALE

FIXED_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes that have an interpreter of their own."""
MAX_FIXED_BYTES = 8_000_000
"""A larger model has one interpreter for all sizes."""
MAX_FIXED_PIXELS = 2**16
"""Larger batches of images have none of their own."""
INPUT_NAME = re.compile(r"(?:^|_)(floats|ids|images)(?::\d+)?$")


@dataclass(frozen=True)
class Tensor:
    """One input or output of the LiteRT model; scale 0 means not quantised."""

    index: int
    shape: tuple[int, ...]
    """Of one row."""
    dtype: type
    scale: float
    zero_point: int

    @classmethod
    def of(cls, details: dict[str, Any]) -> "Tensor":
        """Reads what LiteRT tells of a tensor."""
        scale, zero_point = details["quantization"]
        shape = tuple(map(int, details["shape"][1:]))
        return cls(details["index"], shape, details["dtype"], scale, zero_point)

    @property
    def width(self) -> int:
        """Values of one row, where it is flat."""
        return self.shape[0] if self.shape else 1

    @property
    def is_plain(self) -> bool:
        """Whether it holds what the transform gives: floats as float32, ids as int32."""
        return self.scale == 0 and self.dtype in (np.float32, np.int32)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Numbers in the tensor's type; quantized: clip(round(x / scale) + zero point)."""
        if self.scale == 0:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps: np.ndarray = np.rint(values / self.scale)
        steps += self.zero_point
        np.maximum(steps, limits.min, out=steps)  # clip takes longer than both
        np.minimum(steps, limits.max, out=steps)
        return steps.astype(self.dtype)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """The tensor's values as float32 numbers."""
        if self.scale == 0:
            return values.astype(np.float32)
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)


class Model:
    """A LiteRT model whose batch size is changed as little as possible.

    A new size costs more than the prediction of a few rows. So there is an interpreter for each of some small sizes,
    which smaller batches fill up with zeros, and one for larger batches that is resized. A large model has only that
    one, since each holds its own weights.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Loads a model.

        Raises:
            ValueError: the model is damaged, or its inputs are not those of a serving artifact.
            RuntimeError: the model cannot be run here.
        """
        self._any = _Sized(path, threads)
        most = MAX_FIXED_PIXELS // self._any.pixels if self._any.pixels else FIXED_SIZES[-1]
        is_small = path.stat().st_size <= MAX_FIXED_BYTES
        sizes = [size for size in FIXED_SIZES if is_small and size <= most]
        self._fixed = {size: _Sized(path, threads, size) for size in sizes}
        self.inputs, self.output = self._any.inputs, self._any.output

    def __call__(self, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """The output (rows, width) float32 for the inputs of so many rows."""
        exact = self._fixed.get(rows)
        if exact is not None:
            return exact(arrays)
        for size, sized in self._fixed.items():
            if rows < size:
                return sized({name: _padded(values, size) for name, values in arrays.items()})[:rows]
        self._any.resize(rows)
        return self._any(arrays)


class _Sized:
    """One interpreter, at one batch size at a time."""

    def __init__(self, path: Path, threads: int, rows: int = 1) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self.inputs = _inputs(self._interpreter)
        self.output = Tensor.of(self._interpreter.get_output_details()[0])
        self._feeds = [(name, tensor.index, _encoder(name, tensor)) for name, tensor in self.inputs.items()]
        self.pixels = math.prod(self.inputs["images"].shape[:2]) if "images" in self.inputs else 0
        self._is_plain = self.output.is_plain
        self._rows = 0
        self.resize(rows)

    def resize(self, rows: int) -> None:
        if rows == self._rows:
            return
        for tensor in self.inputs.values():
            self._interpreter.resize_tensor_input(tensor.index, (rows, *tensor.shape))
        self._interpreter.allocate_tensors()
        self._rows = rows

    def __call__(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        interpreter, output = self._interpreter, self.output
        for name, index, encode in self._feeds:
            interpreter.set_tensor(index, arrays[name] if encode is None else encode(arrays[name]))
        interpreter.invoke()
        values = interpreter.get_tensor(output.index)
        return values if self._is_plain else output.decode(values)


def _encoder(name: str, tensor: Tensor) -> Callable[[np.ndarray], np.ndarray] | None:
    """Makes an input of what the transform gives; None where that is the input."""
    if name == "images":  # there are but 256 different pixels
        pixels: np.ndarray = np.arange(256).astype(np.float32) * PIXEL_SCALE
        return tensor.encode(pixels).take
    return None if tensor.is_plain else tensor.encode


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    padded = np.zeros((rows, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded


def _inputs(interpreter: Interpreter) -> dict[str, Tensor]:
    tensors = {}
    for details in interpreter.get_input_details():
        match = INPUT_NAME.search(details["name"])
        if match is None:
            raise ValueError(f"its input {details['name']} is none of floats, ids and images")
        tensors[match.group(1)] = Tensor.of(details)
    return tensors
