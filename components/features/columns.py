"""Raw columns: what a row is made of before any transform, and its dense form in memory.

The dense form is what every transform reads, in training and in serving, in TensorFlow and in numpy alike. None of
the two knows a null in a dense array, so each type has one value that means "missing":

| type      | Arrow in partitions | dense numpy             | missing            |
|-----------|---------------------|-------------------------|--------------------|
| string    | string              | object (str)            | ""                 |
| integer   | int64               | int64                   | MISSING_INTEGER    |
| float     | float64             | float32                 | NaN                |
| boolean   | bool                | int64 (0 or 1)          | MISSING_INTEGER    |
| timestamp | timestamp[us], no zone | int64, seconds since 1970-01-01T00:00 | MISSING_INTEGER |
| image     | binary              | object (bytes), a PNG file | b""             |

Timestamps carry no zone: a local time stays the local time that was written. In text, as in CSV and JSON, images are
in base64.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, Strict, model_validator

from components.schema import Section

MISSING_INTEGER = -(2**63)
IMAGE_ROWS = 1024
"""Rows with images that are held in memory at once: 100 MiB where an image is a file of 100 KiB."""

ColumnType = Literal["string", "integer", "float", "boolean", "timestamp", "image"]
Task = Literal["binary", "multiclass", "regression"]
Class = str | int | bool
RawBatch = dict[str, np.ndarray]
"""Column name → dense array of shape (batch,), as the table above says."""

PYTHON_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
"""What a value of a type is in a configuration."""


class Column(Section):
    """One raw column; `name: type` is short for `name: {type: type}`."""

    type: ColumnType = Field(description="type of the values")
    min: float | None = Field(None, description="smallest value allowed; a row below is rejected")
    max: float | None = Field(None, description="largest value allowed; a row above is rejected")
    values: Annotated[tuple[str | int, ...], Strict(False), Field(min_length=1)] | None = Field(
        None, description="the only values allowed; other rows are rejected"
    )
    required: bool = Field(False, description="whether a row without this value is rejected")
    description: str = Field("", description="what the column holds, with its unit")

    @model_validator(mode="after")
    def _check(self) -> "Column":
        if (self.min is not None or self.max is not None) and self.type not in ("integer", "float"):
            raise ValueError(f"min and max need type integer or float, not {self.type}; remove them")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}; exchange them")
        if self.values is not None and self.type not in ("string", "integer"):
            raise ValueError(f"values needs type string or integer, not {self.type}; remove it")
        if any(not isinstance(value, PYTHON_TYPES[self.type]) for value in self.values or ()):
            raise ValueError(f"values holds others than of type {self.type}; quote text, and do not quote numbers")
        return self


def _expand(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Data(Section):
    """What a row is: the raw columns, and which of them is predicted, orders the rows and names them."""

    columns: dict[str, Annotated[Column, BeforeValidator(_expand)]] = Field(
        min_length=2, description="raw columns by name: a type, or a mapping with type, min, max, values, required"
    )
    label: str = Field(description="column to predict; rows without a value in it are kept but not trained on")
    task: Task = Field(description="what is predicted: one of two classes, one of several, or a number")
    classes: tuple[Class, ...] | None = Field(
        None, description="the label's values in order; for binary the second is the positive one (default 0, 1)"
    )
    time: str | None = Field(None, description="timestamp column that orders rows; splits are by time where it is set")
    key: tuple[str, ...] = Field((), description="columns that name a row; splits without time hash them")

    @model_validator(mode="after")
    def _check(self) -> "Data":
        for role, names in (("label", (self.label,)), ("time", (self.time,) if self.time else ()), ("key", self.key)):
            for name in names:
                if name not in self.columns:
                    raise ValueError(f"{role} names {name}, which is not in columns; declare it there")
        if self.time and self.columns[self.time].type != "timestamp":
            raise ValueError(f"time names {self.time}, of type {self.columns[self.time].type}; it must be a timestamp")
        for name in self.key:
            if self.columns[name].type == "image":
                raise ValueError(f"key names {name}, an image; name a column of another type")
        if self.label in self.key:
            raise ValueError(f"key names {self.label}, the label; a row's name must not tell its answer: remove it")
        if len(set(self.label_classes)) < len(self.label_classes):
            raise ValueError(f"classes names a value twice: {', '.join(map(str, self.label_classes))}; name each once")
        self._check_task()
        return self

    def _check_task(self) -> None:
        kind = self.columns[self.label].type
        if self.task == "regression":
            if kind not in ("integer", "float"):
                raise ValueError(f"label {self.label} has type {kind}; regression needs integer or float")
            if self.classes is not None:
                raise ValueError("classes has no meaning for regression; remove it")
        elif kind not in ("integer", "boolean", "string"):
            raise ValueError(f"label {self.label} has type {kind}; {self.task} needs integer, boolean or string")
        elif any(type(value) is not PYTHON_TYPES[kind] for value in self.label_classes):
            shown = ", ".join(map(str, self.label_classes))
            raise ValueError(
                f"label {self.label} has type {kind}, but its classes are {shown}; list classes of that type"
            )
        if self.task == "multiclass" and (self.classes is None or len(self.classes) < 3):
            raise ValueError("multiclass needs classes with three values or more; list them")
        if self.task == "binary" and len(self.label_classes) != 2:
            raise ValueError(f"binary needs two classes, not {len(self.label_classes)}; list two or use multiclass")

    def rows_at_once(self, usual: int) -> int:
        """How many rows to hold in memory where `usual` of numbers and words are: fewer where they hold images."""
        has_images = any(column.type == "image" for column in self.columns.values())
        return min(usual, IMAGE_ROWS) if has_images else usual

    @property
    def label_classes(self) -> tuple[Class, ...]:
        """The label's values in the order of their indices; empty for regression."""
        if self.task == "regression":
            return ()
        if self.classes is not None:
            return self.classes
        return (False, True) if self.columns[self.label].type == "boolean" else (0, 1)
