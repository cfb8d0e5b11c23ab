"""Which values become slices."""

import numpy as np
import pytest

from components.evaluate import slices
from components.evaluate.scoring import Scores
from components.evaluate.slices import find_slices, left_out, slice_rows


def test_every_value_with_enough_rows_is_judged_ten_are_told_and_the_rest_counted():
    values = np.array([str(index) for index in range(12) for _ in range(20 - index)], dtype=object)
    labels = np.arange(len(values), dtype=float)
    scores = Scores(labels, [], {"column": values})
    parts = find_slices(scores, "mae", 10)
    assert [part.value for part in parts] == [str(index) for index in range(11)]
    told = slice_rows(parts, scores, "mae", labels + 1, None)
    assert [part["value"] for part in told] == [str(index) for index in range(10)]
    assert [part["metric"] for part in told] == pytest.approx([1.0] * 10)
    assert left_out(parts, scores) == {"column": {"values": 1, "rows": 9}}


def test_a_column_of_many_values_is_judged_by_the_most_frequent(monkeypatch):
    monkeypatch.setattr(slices, "MOST_JUDGED", 2)
    values = np.array(["a", "b", "b", "c", "c", "c"], dtype=object)
    parts = find_slices(Scores(np.ones(6), [], {"x": values, "y": values}), "mae", 1)
    assert [(part.column, part.value) for part in parts] == [("x", "c"), ("x", "b"), ("y", "c"), ("y", "b")]
    assert parts[0].indexes.tolist() == [3, 4, 5]


@pytest.mark.parametrize("rare, judged", [(19, []), (20, ["a"])])
def test_auc_is_judged_where_both_classes_have_rows_enough(rare, judged):
    labels = np.array([1] * rare + [0] * (200 - rare))
    scores = Scores(labels, [], {"column": np.array(["a"] * 200, dtype=object)})
    assert [part.value for part in find_slices(scores, "auc", 1)] == judged
    assert [part.value for part in find_slices(scores, "accuracy", 1)] == ["a"]
    assert left_out(find_slices(scores, "auc", 1), scores)["column"]["rows"] == (0 if judged else 200)


def test_equal_numbers_are_a_slice_in_regression():
    scores = Scores(np.ones(4), [], {"column": np.array([True, True, False, False], dtype=object)})
    told = slice_rows(find_slices(scores, "mae", 2), scores, "mae", np.zeros(4), np.ones(4))
    assert [(part["value"], part["metric"], part["serving_metric"]) for part in told] == [
        ("True", 1.0, 0.0),
        ("False", 1.0, 0.0),
    ]
