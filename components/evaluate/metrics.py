"""Quality of predictions, in plain numpy, because importing scikit-learn takes 1.6 s.

Labels are (rows,) class indexes or numbers; predictions are (rows,) probabilities of the second class, (rows, classes)
probabilities, or (rows,) numbers.
"""

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


def compute(task: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """All metrics of a task.

    Args:
        task: binary, multiclass or regression.
        labels: (rows,), rows > 0; for binary both classes are there.
        predictions: finite, as the module says.
    """
    predicted = predictions.astype(np.float64)
    if task == "binary":
        return _binary(labels, predicted)
    return _multiclass(labels, predicted) if task == "multiclass" else _regression(labels, predicted)


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


def loss(metric: str, value: float, reference: float) -> float:
    """By how much `value` is worse than `reference`; negative where it is better.

    A difference where higher is better, a share of the reference for errors, whose unit is the label's.
    """
    if HIGHER_IS_BETTER[metric]:
        return reference - value
    return (value - reference) / max(reference, np.finfo(float).tiny)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counting half (Hanley & McNeil, 1982)."""
    negatives = np.sort(scores[labels == 0])
    positives = scores[labels == 1]
    below = np.searchsorted(negatives, positives, "left")
    up_to = np.searchsorted(negatives, positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def _binary(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    of_label = np.where(labels == 1, probabilities, 1 - probabilities)
    return {
        "auc": auc(labels, probabilities),
        "log_loss": _log_loss(of_label),
        "accuracy": float(((probabilities > 0.5) == (labels == 1)).mean()),
        "brier": float(((probabilities - labels) ** 2).mean()),
    }


def _multiclass(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    of_label = probabilities[np.arange(len(labels)), labels]
    return {"accuracy": float((probabilities.argmax(axis=1) == labels).mean()), "log_loss": _log_loss(of_label)}


def _log_loss(probability_of_label: np.ndarray) -> float:
    return float(-np.log(np.clip(probability_of_label, SMALLEST_PROBABILITY, 1)).mean())


def _regression(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    errors = predicted - labels
    squared = (errors**2).mean()
    variance = labels.var()
    r2 = 1 - squared / variance if variance > 0 else float(squared == 0)
    return {"rmse": float(np.sqrt(squared)), "mae": float(np.abs(errors).mean()), "r2": float(r2)}


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
