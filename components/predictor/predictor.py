"""A serving artifact → predictions, without TensorFlow.

A serving artifact is a folder: `model.tflite`, `serving.json` and a transform (`features.json`, `constants.json`,
`vocabulary/`). The LiteRT model's inputs are named `floats` (batch, F) float32 or int8, `ids` (batch, I) int32 or int64
and `images` (batch, height, width, channels) float32 or int8; each may be absent. Its only output is (batch, 1) or
(batch, classes), float32 or int8.
"""

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.errors import UserError
from components.features.columns import RawBatch
from components.features.pixels import MAX_PIXELS
from components.features.transform import Transform
from components.features.values import Row, ValueTransform
from components.predictor.model import Model

MAX_BATCH = 4096
"""Rows per call of the model, so that memory does not grow with the batch."""
REMEDY = "make the serving artifact again"


class Predictor:
    """Predicts from raw columns.

    Threads may share one, but they wait for each other: an interpreter holds one batch at a time. Give each thread its
    own where they are to run at once.
    """

    def __init__(self, transform: Transform, spec: dict[str, Any], model: Model) -> None:
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
        pixels = math.prod(transform.image_shape[:2])
        self._most_rows = max(1, min(MAX_BATCH, MAX_PIXELS // pixels))
        self._lock = threading.Lock()
        self._check_shapes()

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
            predictor = cls(transform, spec, Model(path, threads))
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
        most = self._most_rows
        if rows <= most:
            return self.predict_transformed(*self.transform(raw))
        starts = range(0, rows, most)
        pieces = ({name: raw[name][start : start + most] for name in self.source_columns} for start in starts)
        return np.concatenate([self.predict(piece) for piece in pieces])

    def predict_rows(self, rows: Sequence[Row]) -> np.ndarray:
        """Predicts from Python values, as requests bring them; fast for a few rows too.

        Args:
            rows: a value for each of `source_columns`; see `features.values`. One row at least.

        Returns:
            as `predict`.
        """
        most = self._most_rows
        if len(rows) <= most:
            return self.predict_transformed(*self._of_values(rows))
        starts = range(0, len(rows), most)
        return np.concatenate([self.predict_rows(rows[start : start + most]) for start in starts])

    def unseen(self) -> dict[str, int]:
        """By feature, how many values `predict_rows` met that the feature's vocabulary does not know."""
        return self._of_values.unseen()

    def predict_transformed(self, floats: np.ndarray, ids: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicts from what the transform gives.

        Args:
            floats: (batch, F) float32.
            ids: (batch, I) int32.
            images: (batch, height, width, channels) uint8, where there are such.

        Returns:
            as `predict`.
        """
        if len(floats) == 0:
            return self._shaped(np.zeros((0, self._model.output.width), np.float32))
        arrays = {"floats": floats, "ids": ids}
        if images is not None:
            arrays["images"] = images
            if len(floats) > self._most_rows:
                return self._in_pieces(arrays)
        with self._lock:
            return self._shaped(self._model(arrays, len(floats)))

    def _in_pieces(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        most = self._most_rows
        starts = range(0, len(arrays["floats"]), most)
        pieces = ({name: values[start : start + most] for name, values in arrays.items()} for start in starts)
        return np.concatenate([self.predict_transformed(**piece) for piece in pieces])

    def _shaped(self, output: np.ndarray) -> np.ndarray:
        return output if self.task == "multiclass" else output.reshape(-1)

    def _check_shapes(self) -> None:
        widths = {"floats": len(self.transform.float_names), "ids": len(self.transform.id_names)}
        for name, width in widths.items():
            expected = self._model.inputs[name].width if name in self._model.inputs else 0
            if width != expected:
                raise ValueError(f"it takes {expected} {name}, but the transform beside it gives {width}")
        taken = self._model.inputs["images"].shape if "images" in self._model.inputs else ()
        given = self.transform.image_shape
        if taken != given:
            raise ValueError(f"it takes images of {taken}, but the transform beside it gives {given}")
        outputs = len(self.classes) if self.task == "multiclass" else 1
        if self._model.output.width != outputs:
            raise ValueError(f"it gives {self._model.output.width} outputs, but {self.task} needs {outputs}")

    def _try(self) -> None:
        """One row of zeros: some damage and some unsupported graphs show only when the model runs."""
        widths = len(self.transform.float_names), len(self.transform.id_names)
        shape = self.transform.image_shape
        images = np.zeros((1, *shape), np.uint8) if shape else None
        self.predict_transformed(np.zeros((1, widths[0]), np.float32), np.zeros((1, widths[1]), np.int32), images)


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
