"""The label as a number."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import UserError
from components.features.columns import Data


def label_numbers(column: pa.ChunkedArray, data: Data) -> np.ndarray:
    """What a model learns to predict: the index of the class, or the number itself.

    Args:
        column: the label's column, in its canonical Arrow type.
        data: declares it.

    Returns:
        (rows,) float32, NaN where the label is missing.

    Raises:
        UserError: a label is none of the classes, or a number that float32 cannot hold.
    """
    known = pc.is_valid(column)
    if data.task == "regression":
        numbers = _float32(column)
    else:
        numbers = _float32(pc.index_in(column, value_set=pa.array(list(data.label_classes), column.type)))
        numbers[~np.asarray(known)] = np.nan
    wrong = np.asarray(known) & ~np.isfinite(numbers)
    if wrong.any():
        value = column[int(np.flatnonzero(wrong)[0])].as_py()
        raise UserError(
            f"the label {data.label} is {value!r}; it must be {_allowed(data)}: mend the row or the declaration"
        )
    return numbers


def _float32(values: pa.ChunkedArray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(pc.fill_null(values.cast(pa.float64()), float("nan"))).astype(np.float32)


def _allowed(data: Data) -> str:
    if data.task == "regression":
        return "a finite number of float32"
    return "one of " + ", ".join(repr(name) for name in data.label_classes)
