"""Quality of predictions, in plain numpy, because importing scikit-learn takes 1.6 s.

Labels are (rows,) class indexes or numbers; predictions are (rows,) probabilities of the second class, (rows, classes)
probabilities, or (rows,) numbers.
"""

from typing import Any

import numpy as np

HIGHER_IS_BETTER = {
    "auc": True,
    "accuracy": True,
    "r2": True,
    "log_loss": False,
    "brier": False,
    "rmse": False,
    "mae": False,
}
BY_TASK = {
    "binary": ("auc", "log_loss", "accuracy", "brier"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}
SMALLEST_PROBABILITY = 1e-7
SMALLEST_ERROR = 1e-300
MOST_LOSS = 1e9


def compute(task: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """All metrics of a task.

    Args:
        task: binary, multiclass or regression.
        labels: (rows,), rows > 0; for binary both classes are there.
        predictions: finite, as the module says.
    """
    predicted = predictions.astype(np.float64)
    if task == "regression":
        return _regression(labels, predicted)
    means = {metric: _mean(metric, labels, predicted) for metric in BY_TASK[task] if metric != "auc"}
    return {"auc": auc(labels, predicted), **means} if task == "binary" else means


def of(metric: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    """One metric; only auc needs rows of both classes.

    Args:
        metric: auc, log_loss, accuracy, rmse or mae.
        labels: (rows,), rows > 0.
        predictions: finite, as the module says.
    """
    predicted = predictions.astype(np.float64)
    if metric == "auc":
        return auc(labels, predicted)
    mean = _mean(metric, labels, predicted)
    return float(np.sqrt(mean)) if metric == "rmse" else mean


def of_constant(metric: str, labels: np.ndarray) -> float:
    """What the best constant prediction reaches on these labels: the least that a model must beat."""
    if metric == "auc":
        return 0.5
    if metric == "rmse":
        return float(labels.std())
    if metric == "mae":
        return float(np.abs(labels - np.median(labels)).mean())
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(shares.max()) if metric == "accuracy" else float(-(shares * np.log(shares)).sum())


def loss(metric: str, value: Any, reference: Any) -> Any:
    """By how much `value` is worse than `reference`, numbers or arrays; negative where it is better.

    A difference where higher is better, a share of the reference for errors, whose unit is the label's; that share is
    at most 1e9, so that it stays a number where the reference makes no error at all.
    """
    if HIGHER_IS_BETTER[metric]:
        return reference - value
    share = (value - reference) / np.maximum(reference, SMALLEST_ERROR)
    return np.minimum(share, MOST_LOSS)


def of_rows(metric: str, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What each row adds: the metric is the mean of it, and for rmse the root of the mean.

    Args:
        metric: one of compute's, but not auc and r2, which are no means.
        labels: (rows,).
        predictions: finite float64, as the module says.

    Returns:
        (rows,) float64.
    """
    by_row: np.ndarray
    if metric in ("rmse", "mae"):
        by_row = np.abs(predictions - labels)
        return by_row**2 if metric == "rmse" else by_row
    if metric == "accuracy":
        said = predictions > 0.5 if predictions.ndim == 1 else predictions.argmax(axis=1)
        by_row = (said == labels).astype(np.float64)
    elif metric == "brier":
        by_row = (predictions - labels) ** 2
    else:
        of_label = _of_label(labels, predictions)
        by_row = -np.log(np.clip(of_label, SMALLEST_PROBABILITY, 1))
    return by_row


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counting half (Hanley & McNeil, 1982)."""
    negatives = np.sort(scores[labels == 0])
    positives = scores[labels == 1]
    below = np.searchsorted(negatives, positives, "left")
    up_to = np.searchsorted(negatives, positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def _regression(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    squared, absolute = (_mean(metric, labels, predicted) for metric in ("rmse", "mae"))
    variance = labels.var()
    r2 = 1 - squared / variance if variance > 0 else float(squared == 0)
    return {"rmse": float(np.sqrt(squared)), "mae": absolute, "r2": float(r2)}


def _of_label(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    if probabilities.ndim == 1:
        return np.where(labels == 1, probabilities, 1 - probabilities)
    of_label: np.ndarray = probabilities[np.arange(len(labels)), labels]
    return of_label


def _mean(metric: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    return float(of_rows(metric, labels, predicted).mean())


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Mean predicted probability beside the observed share of the second class, in bins of equal numbers of rows.

    Rows with equal predictions share a bin, so there can be fewer bins (an int8 variant knows 256 probabilities).
    """
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_of_row = np.searchsorted(edges, probabilities, side="left")
    rows = np.bincount(bin_of_row)
    predicted = np.bincount(bin_of_row, probabilities)
    observed = np.bincount(bin_of_row, labels)
    return [
        {"predicted": float(predicted[i] / rows[i]), "observed": float(observed[i] / rows[i]), "rows": int(rows[i])}
        for i in np.flatnonzero(rows)
    ]
