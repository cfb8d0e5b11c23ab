"""Which values become slices."""

import numpy as np
import pytest

from components.evaluate.scoring import Scores
from components.evaluate.slices import slices


def test_the_ten_most_frequent_values_are_told_and_the_rest_counted():
    values = np.array([str(index) for index in range(12) for _ in range(20 - index)], dtype=object)
    labels = np.arange(len(values), dtype=float)
    told, left_out = slices(Scores(labels, [], {"column": values}), "regression", "mae", labels + 1, None, 1)
    assert [part["value"] for part in told] == [str(index) for index in range(10)]
    assert [part["metric"] for part in told] == pytest.approx([1.0] * 10)
    assert left_out == {"column": {"values": 2, "rows": 10 + 9}}


def test_equal_numbers_are_a_slice_in_regression():
    scores = Scores(np.ones(4), [], {"column": np.array([True, True, False, False], dtype=object)})
    told, _ = slices(scores, "regression", "mae", np.zeros(4), np.ones(4), 2)
    assert [(part["value"], part["metric"], part["serving_metric"]) for part in told] == [
        ("True", 1.0, 0.0),
        ("False", 1.0, 0.0),
    ]
