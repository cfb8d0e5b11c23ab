"""Quality told apart by the values of a column."""

from collections import Counter
from typing import Any

import numpy as np

from components.evaluate.metrics import compute
from components.evaluate.scoring import Scores

MOST_VALUES = 10
MISSING = "(missing)"


def slices(
    scores: Scores, task: str, metric: str, shown: np.ndarray, serving: np.ndarray | None, min_rows: int
) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """The metric for the ten most frequent values of each column.

    Args:
        scores: labels and the columns' values.
        task: binary, multiclass or regression.
        metric: the metric that decides.
        shown: predictions to judge.
        serving: predictions of the version in service; None where there is none to compare with.
        min_rows: values with fewer rows are left out: their metric would be noise.

    Returns:
        `[{column, value, rows, metric, serving_metric}]`, largest slice of each column first; and by column what was
        left out, `{values, rows}`: rarer values, and those where all rows have one class.
    """
    told: list[dict[str, Any]] = []
    left_out = {}
    for column, values in scores.slices.items():
        of_column: list[dict[str, Any]] = [
            {
                "column": column,
                "value": MISSING if value is None else str(value),
                "rows": int(rows.sum()),
                "metric": _metric(task, metric, scores.labels[rows], shown[rows]),
                "serving_metric": None
                if serving is None
                else _metric(task, metric, scores.labels[rows], serving[rows]),
            }
            for value, rows in _frequent(values, min_rows)
            if task == "regression" or len(np.unique(scores.labels[rows])) > 1
        ]
        told += of_column
        distinct = len(set(values.tolist()))
        left_out[column] = {
            "values": distinct - len(of_column),
            "rows": len(values) - sum(part["rows"] for part in of_column),
        }
    return told, left_out


def _frequent(values: np.ndarray, min_rows: int) -> list[tuple[Any, np.ndarray]]:
    counts = Counter(values.tolist()).most_common(MOST_VALUES)
    return [(value, values == value) for value, rows in counts if rows >= min_rows]


def _metric(task: str, metric: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    return compute(task, labels, predictions)[metric]
