"""A serving artifact → predictions, without TensorFlow.

A serving artifact is a folder: `model.tflite`, `serving.json` and a transform (`features.json`, `constants.json`,
`vocabulary/`). The LiteRT model's inputs are named `floats` (batch, F) float32 or int8 and `ids` (batch, I) int32 or
int64; either may be absent. Its only output is (batch, 1) or (batch, classes), float32 or int8.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.errors import UserError
from components.features.columns import RawBatch
from components.features.transform import Transform
from components.features.values import Row, ValueTransform

MAX_BATCH = 4096
"""Rows per call of the model, so that memory does not grow with the batch."""
FIXED_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes that have an interpreter of their own."""
MAX_FIXED_BYTES = 8_000_000
"""A larger model has one interpreter for all sizes."""
REMEDY = "make the serving artifact again"
INPUT_NAME = re.compile(r"(?:^|_)(floats|ids)(?::\d+)?$")


@dataclass(frozen=True)
class _Tensor:
    """One input or output of the LiteRT model; scale 0 means not quantised."""

    index: int
    width: int
    dtype: type
    scale: float
    zero_point: int

    @classmethod
    def of(cls, details: dict[str, Any]) -> "_Tensor":
        scale, zero_point = details["quantization"]
        width = int(details["shape"][1]) if len(details["shape"]) > 1 else 1
        return cls(details["index"], width, details["dtype"], scale, zero_point)

    @property
    def is_plain(self) -> bool:
        """Whether it holds what the transform gives: floats as float32, ids as int32."""
        return self.scale == 0 and self.dtype in (np.float32, np.int32)

    def encode(self, values: np.ndarray) -> np.ndarray:
        if self.scale == 0:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps: np.ndarray = np.rint(values / self.scale) + self.zero_point
        return steps.clip(limits.min, limits.max).astype(self.dtype)

    def decode(self, values: np.ndarray) -> np.ndarray:
        if self.scale == 0:
            return values.astype(np.float32)
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)


class _Model:
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
        sizes = FIXED_SIZES if path.stat().st_size <= MAX_FIXED_BYTES else ()
        self._any = _Sized(path, threads)
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
        self.output = _Tensor.of(self._interpreter.get_output_details()[0])
        self._feeds = [
            (name, tensor.index, None if tensor.is_plain else tensor.encode) for name, tensor in self.inputs.items()
        ]
        self._is_plain = self.output.is_plain
        self._rows = 0
        self.resize(rows)

    def resize(self, rows: int) -> None:
        if rows == self._rows:
            return
        for tensor in self.inputs.values():
            self._interpreter.resize_tensor_input(tensor.index, (rows, tensor.width))
        self._interpreter.allocate_tensors()
        self._rows = rows

    def __call__(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        interpreter, output = self._interpreter, self.output
        for name, index, encode in self._feeds:
            interpreter.set_tensor(index, arrays[name] if encode is None else encode(arrays[name]))
        interpreter.invoke()
        values = interpreter.get_tensor(output.index)
        return values if self._is_plain else output.decode(values)


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    padded = np.zeros((rows, values.shape[1]), values.dtype)
    padded[: len(values)] = values
    return padded


class Predictor:
    """Predicts from raw columns.

    Threads may share one, but they wait for each other: an interpreter holds one batch at a time. Give each thread its
    own where they are to run at once.
    """

    def __init__(self, transform: Transform, spec: dict[str, Any], model: _Model) -> None:
        """Takes the parts; `load` reads them.

        Args:
            transform: raw columns to floats and ids.
            spec: the content of `serving.json`.
            model: the LiteRT model.

        Raises:
            ValueError: transform and model do not fit each other.
        """
        self.transform = transform
        self.source_columns = transform.source_columns
        """Raw columns that a prediction reads."""
        self.task: str = spec["task"]
        self.classes: tuple[Any, ...] = tuple(spec["classes"] or ())
        self.recipe: str = spec["recipe"]
        self._of_values = ValueTransform(transform)
        self._model = model
        self._lock = threading.Lock()
        self._check_widths()

    @classmethod
    def load(cls, serving_folder: Path, threads: int = 1) -> "Predictor":
        """Reads a serving artifact and tries its model on one row.

        Args:
            serving_folder: the artifact.
            threads: threads that one prediction may use.

        Raises:
            UserError: names the file that is missing or damaged.
        """
        spec = _read_spec(serving_folder / artifacts.SERVING_SPEC)
        transform = _read_transform(serving_folder)
        path = serving_folder / artifacts.LITERT_MODEL
        if not path.is_file():
            raise UserError(f"{path} is missing; {REMEDY}")
        try:
            predictor = cls(transform, spec, _Model(path, threads))
            predictor._try()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path} cannot be run ({_one_line(error)}); {REMEDY}") from None
        return predictor

    def predict(self, raw: RawBatch) -> np.ndarray:
        """Predicts any number of rows.

        Args:
            raw: dense columns of shape (batch,), at least `source_columns`.

        Returns:
            (batch,) float32 probability of the second class for binary, (batch, classes) float32 probabilities for
            multiclass, (batch,) float32 numbers for regression.
        """
        rows = len(raw[self.source_columns[0]])
        if rows <= MAX_BATCH:
            return self.predict_transformed(*self.transform(raw))
        starts = range(0, rows, MAX_BATCH)
        pieces = ({name: raw[name][start : start + MAX_BATCH] for name in self.source_columns} for start in starts)
        return np.concatenate([self.predict(piece) for piece in pieces])

    def predict_rows(self, rows: Sequence[Row]) -> np.ndarray:
        """Predicts from Python values, as requests bring them; fast for a few rows too.

        Args:
            rows: a value for each of `source_columns`; see `features.values`. One row at least.

        Returns:
            as `predict`.
        """
        if len(rows) <= MAX_BATCH:
            return self.predict_transformed(*self._of_values(rows))
        starts = range(0, len(rows), MAX_BATCH)
        return np.concatenate([self.predict_rows(rows[start : start + MAX_BATCH]) for start in starts])

    def unseen(self) -> dict[str, int]:
        """By feature, how many values `predict_rows` met that the feature's vocabulary does not know."""
        return self._of_values.unseen()

    def predict_transformed(self, floats: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Predicts from what the transform gives.

        Args:
            floats: (batch, F) float32.
            ids: (batch, I) int32.

        Returns:
            as `predict`.
        """
        if len(floats) == 0:
            return self._shaped(np.zeros((0, self._model.output.width), np.float32))
        with self._lock:
            return self._shaped(self._model({"floats": floats, "ids": ids}, len(floats)))

    def _shaped(self, output: np.ndarray) -> np.ndarray:
        return output if self.task == "multiclass" else output.reshape(-1)

    def _check_widths(self) -> None:
        widths = {"floats": len(self.transform.float_names), "ids": len(self.transform.id_names)}
        for name, width in widths.items():
            expected = self._model.inputs[name].width if name in self._model.inputs else 0
            if width != expected:
                raise ValueError(f"it takes {expected} {name}, but the transform beside it gives {width}")
        outputs = len(self.classes) if self.task == "multiclass" else 1
        if self._model.output.width != outputs:
            raise ValueError(f"it gives {self._model.output.width} outputs, but {self.task} needs {outputs}")

    def _try(self) -> None:
        """One row of zeros: some damage and some unsupported graphs show only when the model runs."""
        widths = len(self.transform.float_names), len(self.transform.id_names)
        self.predict_transformed(np.zeros((1, widths[0]), np.float32), np.zeros((1, widths[1]), np.int32))


def _inputs(interpreter: Interpreter) -> dict[str, _Tensor]:
    tensors = {}
    for details in interpreter.get_input_details():
        match = INPUT_NAME.search(details["name"])
        if match is None:
            raise ValueError(f"its input {details['name']} is neither floats nor ids")
        tensors[match.group(1)] = _Tensor.of(details)
    return tensors


def _read_spec(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing; {REMEDY}")
    try:
        spec: dict[str, Any] = artifacts.read_json(path)
        missing = {"task", "classes", "recipe"} - set(spec)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({_one_line(error)}); {REMEDY}") from None
    if missing:
        raise UserError(f"{path} has no {', '.join(sorted(missing))}; {REMEDY}")
    return spec


def _read_transform(folder: Path) -> Transform:
    try:
        return Transform.read(folder)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; {REMEDY}") from None
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{_unreadable(folder)} is damaged ({_one_line(error)}); {REMEDY}") from None


def _unreadable(folder: Path) -> str:
    """The transform's file that is no JSON, or all of them where each is, but they do not fit together."""
    for path in (folder / artifacts.FEATURES, folder / artifacts.CONSTANTS, *folder.glob(f"{artifacts.VOCABULARY}/*")):
        try:
            artifacts.read_json(path)
        except ValueError:
            return str(path)
    return f"{folder} ({artifacts.FEATURES}, {artifacts.CONSTANTS} or {artifacts.VOCABULARY})"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
