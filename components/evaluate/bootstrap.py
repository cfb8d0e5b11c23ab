"""How sure a difference in quality is: the paired bootstrap over held-out rows.

As many rows as there are are drawn with replacement, every model is scored on the same draw, and the draws' differences
show how far the measured one may be chance (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and
13: percentile interval). For AUC, which compares two samples, the rows of each class are drawn apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluate.metrics import loss, of_rows

REPLICATES = 1000
"""An end of the interval is a 2.5 % point: the 25th of a thousand draws."""
PRODUCT_BLOCK, RANKING_BLOCK = 1 << 20, 1 << 16
"""Counts of draws held at once, to bound memory: many for a matrix product, few for sums, which stay in caches."""
COVERAGE = 0.95
SEED = 20_131_231
"""Fixed, so that a repeated run decides alike; the same draws for all models, so that one more changes no other's."""


@dataclass(frozen=True)
class Loss:
    """By how much a model is worse than the reference, as `metrics.loss` counts it."""

    value: float
    """On the rows as they are."""
    low: float
    high: float
    """The ends of the 95 % interval."""


def losses(
    metric: str,
    labels: np.ndarray,
    predictions: Sequence[np.ndarray],
    reference: np.ndarray,
    replicates: int = REPLICATES,
) -> list[Loss]:
    """How much worse than a reference models are, and how sure that is.

    For 10 models on 80,000 rows it takes about 10 s with auc, 2 s with others, and 24 bytes for each prediction.

    Args:
        metric: auc, accuracy, log_loss, rmse or mae.
        labels: (rows,), rows > 0; for auc both classes are there.
        predictions: of each model, finite, as `metrics` describes them.
        reference: predictions of the model to compare with.
        replicates: draws.
    """
    models = [reference.astype(np.float64), *(one.astype(np.float64) for one in predictions)]
    resampled = _resampled_auc if metric == "auc" else _resampled_mean
    values = resampled(metric, labels, models, replicates)
    lost = loss(metric, values[:, 1:], values[:, :1])
    low, high = np.quantile(lost[1:], [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    return [Loss(*map(float, ends)) for ends in zip(lost[0], low, high)]


def _resampled_mean(metric: str, labels: np.ndarray, models: list[np.ndarray], replicates: int) -> np.ndarray:
    """(1 + replicates, models): the metric on the rows as they are, then on each draw."""
    by_row = np.stack([of_rows(metric, labels, model) for model in models])
    block = max(1, PRODUCT_BLOCK // len(labels))
    counts = _counts(len(labels), replicates, block, np.random.default_rng(SEED))
    means = np.concatenate([draws @ by_row.T for draws in counts]) / len(labels)
    return np.sqrt(means) if metric == "rmse" else means


def _resampled_auc(_: str, labels: np.ndarray, models: list[np.ndarray], replicates: int) -> np.ndarray:
    """As `_resampled_mean`; scores are sorted once, and a draw only changes how often each row counts."""
    # Models rank alike: in the order of one of them, neighbours are neighbours for all, which the caches reward.
    order = np.argsort(models[0])
    labels, models = labels[order], [model[order] for model in models]
    is_positive = labels == 1
    rankings = [_Ranking(model[~is_positive], model[is_positive]) for model in models]
    block = max(1, RANKING_BLOCK // len(labels))
    negatives = _counts(int((~is_positive).sum()), replicates, block, np.random.default_rng([SEED, 0]))
    positives = _counts(int(is_positive.sum()), replicates, block, np.random.default_rng([SEED, 1]))
    blocks = zip(negatives, positives)
    return np.concatenate([np.stack([ranking.auc(*counts) for ranking in rankings], axis=1) for counts in blocks])


class _Ranking:
    """How one model ranks the rows of both classes."""

    def __init__(self, negative: np.ndarray, positive: np.ndarray) -> None:
        self._order = np.argsort(negative)
        ranked = negative[self._order]
        self._below = np.searchsorted(ranked, positive, "left")
        self._up_to = np.searchsorted(ranked, positive, "right")
        self._pairs = len(negative) * len(positive)

    def auc(self, negatives: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """(draws,): AUC where each row counts so often, each class as often as it has rows in all.

        The Mann-Whitney statistic, ties counting half.

        Args:
            negatives: (draws, rows of the first class).
            positives: (draws, rows of the second class).
        """
        passed = np.zeros((len(negatives), negatives.shape[1] + 1))
        np.cumsum(negatives[:, self._order], axis=1, out=passed[:, 1:])
        both = passed[:, self._below] + passed[:, self._up_to]
        return np.einsum("dp,dp->d", both, positives) / 2 / self._pairs


def _counts(rows: int, replicates: int, block: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """(at most `block`, rows): how often each row counts: once, and then as often as each draw holds it."""
    yield np.ones((1, rows))
    for first in range(0, replicates, block):
        draws = min(block, replicates - first)
        drawn = random.integers(0, rows, (draws, rows)) + rows * np.arange(draws)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=draws * rows).reshape(draws, rows).astype(np.float64)
