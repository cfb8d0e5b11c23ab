"""Quality told apart by the values of a column."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import numpy as np

from components.evaluate.metrics import of
from components.evaluate.scoring import Scores

MOST_JUDGED = 200
"""Values of a column, so that a column of ids takes no hours."""
MOST_SHOWN = 10
LEAST_OF_CLASS = 20
"""Rows of each class that AUC's interval needs: with fewer, draws differ too little and it is too narrow."""
MISSING = "(missing)"


@dataclass(frozen=True)
class Slice:
    """The held-out rows in which a column has one value."""

    column: str
    value: str
    indexes: np.ndarray
    """(rows of the slice,) of the held-out rows."""


def find_slices(scores: Scores, metric: str, min_rows: int) -> list[Slice]:
    """The values of each column on which a metric can be judged, the most frequent first, at most 200 of a column.

    Args:
        scores: labels and the columns' values.
        metric: the metric that decides.
        min_rows: values with fewer rows are left out, since their metric would be noise; for auc so are those with
            fewer than 20 rows of a class.
    """
    return [
        Slice(column, MISSING if value is None else str(value), indexes)
        for column, values in scores.slices.items()
        for value, indexes in _most_frequent(values)
        if len(indexes) >= min_rows and (metric != "auc" or _has_both(scores.labels[indexes]))
    ]


def _most_frequent(values: np.ndarray) -> list[tuple[Any, np.ndarray]]:
    rows_of = defaultdict(list)
    for row, value in enumerate(values.tolist()):
        rows_of[value].append(row)
    found = sorted(rows_of.items(), key=lambda item: -len(item[1]))
    return [(value, np.array(rows)) for value, rows in found[:MOST_JUDGED]]


def _has_both(labels: np.ndarray) -> bool:
    return bool(np.bincount(labels, minlength=2).min() >= LEAST_OF_CLASS)


def slice_rows(
    parts: Sequence[Slice], scores: Scores, metric: str, shown: np.ndarray, serving: np.ndarray | None
) -> list[dict[str, Any]]:
    """The metric of the first ten slices of each column: `[{column, value, rows, metric, serving_metric}]`.

    Args:
        parts: the slices, those of a column one after the other.
        scores: labels.
        metric: the metric that decides.
        shown: predictions to judge.
        serving: predictions of the version in service; None where there is none to compare with.
    """

    def measured(predictions: np.ndarray, part: Slice) -> float:
        return of(metric, scores.labels[part.indexes], predictions[part.indexes])

    return [
        {
            "column": part.column,
            "value": part.value,
            "rows": len(part.indexes),
            "metric": measured(shown, part),
            "serving_metric": None if serving is None else measured(serving, part),
        }
        for _, of_column in groupby(parts, lambda part: part.column)
        for part in islice(of_column, MOST_SHOWN)
    ]


def left_out(parts: Sequence[Slice], scores: Scores) -> dict[str, dict[str, int]]:
    """By column what is in no slice, so not judged: `{values, rows}`."""
    found = {}
    for column, values in scores.slices.items():
        of_column = [part for part in parts if part.column == column]
        found[column] = {
            "values": len(set(values.tolist())) - len(of_column),
            "rows": len(values) - sum(len(part.indexes) for part in of_column),
        }
    return found
