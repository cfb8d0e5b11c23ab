import json

import numpy as np
import pyarrow as pa
import pytest

from components.errors import UserError
from components.features.columns import Data
from components.features.labels import label_numbers
from components.schema import parse


def data(kind: str, task: str, **keys) -> Data:
    return parse(Data, json.dumps({"columns": {"y": kind, "x": "float"}, "label": "y", "task": task, **keys}))


@pytest.mark.parametrize(
    ("declared", "column", "numbers"),
    [
        (data("integer", "binary"), pa.array([1, 0, None]), [1, 0, np.nan]),
        (data("boolean", "binary"), pa.array([True, None, False]), [1, np.nan, 0]),
        (data("string", "binary", classes=["no", "yes"]), pa.array(["yes", "no", None]), [1, 0, np.nan]),
        (data("string", "multiclass", classes=["ä", "b", "c"]), pa.array(["c", "ä", "b"]), [2, 0, 1]),
        (data("integer", "multiclass", classes=[10, 20, 30]), pa.array([30, 10, 10]), [2, 0, 0]),
        (data("float", "regression"), pa.array([-1.5, None, 2e30]), [-1.5, np.nan, 2e30]),
        (data("integer", "regression"), pa.array([3, None, -4]), [3, np.nan, -4]),
    ],
)
def test_numbers(declared, column, numbers):
    found = label_numbers(pa.chunked_array([column]), declared)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(numbers, np.float32))


@pytest.mark.parametrize(
    ("declared", "column", "words"),
    [
        (
            data("string", "binary", classes=["no", "yes"]),
            pa.array(["yes", "maybe"]),
            "'maybe'; it must be one of 'no', 'yes'",
        ),
        (data("float", "regression"), pa.array([1.0, 1e300]), r"1e\+300; it must be a finite number"),
        (data("float", "regression"), pa.array([float("nan")]), "nan; it must be a finite number"),
    ],
)
def test_refused(declared, column, words):
    with pytest.raises(UserError, match=words):
        label_numbers(pa.chunked_array([column]), declared)
