"""The interval of a loss: what it is made of, that it covers the truth, and that it does not change by itself."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.evaluate import bootstrap
from components.evaluate.bootstrap import losses
from components.evaluate.metrics import compute, loss

TASKS = {"auc": "binary", "log_loss": "binary", "accuracy": "multiclass", "rmse": "regression", "mae": "regression"}


def sample(metric: str, rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the predictions of a model and of a worse one."""
    signal, noise = random.normal(size=(2, rows))
    if TASKS[metric] == "regression":
        return 2 * signal + random.normal(size=rows), 2 * signal, 2 * signal + 0.3 * noise
    labels = (random.random(rows) < 1 / (1 + np.exp(1 - 1.5 * signal))).astype(np.int64)
    better, worse = (1 / (1 + np.exp(1 - score)) for score in (1.5 * signal, 1.5 * signal + 0.5 * noise))
    if metric == "accuracy":
        return labels, np.stack([1 - better, better], axis=1), np.stack([1 - worse, worse], axis=1)
    return labels, better, worse


@pytest.mark.parametrize("metric", TASKS)
def test_the_interval_covers_the_truth_as_often_as_it_says(metric):
    labels, better, worse = sample(metric, 1_000_000, np.random.default_rng(99))
    truth = loss(metric, *(compute(TASKS[metric], labels, model)[metric] for model in (worse, better)))
    random, samples = np.random.default_rng(1), 300
    covered = 0
    for _ in range(samples):
        labels, better, worse = sample(metric, 300, random)
        (found,) = losses(metric, labels, [worse], better, replicates=100)
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / samples <= 0.99


@pytest.mark.parametrize("metric", TASKS)
def test_the_value_is_the_loss_on_the_rows_as_they_are(metric):
    labels, better, worse = sample(metric, 2000, np.random.default_rng(2))
    better, worse = better.astype(np.float32), worse.round(2).astype(np.float32)
    (found,) = losses(metric, labels, [worse], better)
    metrics = [compute(TASKS[metric], labels, model)[metric] for model in (worse, better)]
    assert found.value == pytest.approx(loss(metric, *metrics), abs=1e-9)
    assert found.low < found.value < found.high


def test_a_draw_of_auc_counts_each_row_as_often_as_it_was_drawn():
    labels, _, scores = sample("auc", 400, np.random.default_rng(3))
    scores = scores.round(1)
    is_positive = labels == 1
    random = np.random.default_rng(4)
    negatives, positives = (
        list(bootstrap._counts(int(rows.sum()), 2, 2, random))[1] for rows in (~is_positive, is_positive)
    )
    assert negatives.sum(axis=1).tolist() == [len(negatives[0])] * 2
    ranking = bootstrap._Ranking(scores[~is_positive], scores[is_positive])
    weights = np.empty((2, len(labels)))
    weights[:, ~is_positive], weights[:, is_positive] = negatives, positives
    expected = [roc_auc_score(labels, scores, sample_weight=draw) for draw in weights]
    assert ranking.auc(negatives, positives) == pytest.approx(expected)


@pytest.mark.parametrize("metric", TASKS)
def test_blocks_only_bound_memory(metric, monkeypatch):
    labels, better, worse = sample(metric, 300, np.random.default_rng(9))
    whole = losses(metric, labels, [worse], better, replicates=100)
    monkeypatch.setattr(bootstrap, "PRODUCT_BLOCK", 700)
    monkeypatch.setattr(bootstrap, "RANKING_BLOCK", 700)
    (found,) = losses(metric, labels, [worse], better, replicates=100)
    assert [found.value, found.low, found.high] == pytest.approx([whole[0].value, whole[0].low, whole[0].high])


def test_equal_predictions_lose_nothing_and_that_is_sure():
    labels, better, _ = sample("auc", 300, np.random.default_rng(5))
    (found,) = losses("auc", labels, [better.copy()], better)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_draws_are_shared_so_that_a_small_difference_is_seen_on_few_rows():
    labels, better, _ = sample("log_loss", 500, np.random.default_rng(6))
    nearly = (better + np.random.default_rng(7).normal(0, 1e-3, 500)).clip(1e-3, 1 - 1e-3)
    (found,) = losses("log_loss", labels, [nearly], better)
    by_row = -np.log(np.where(labels == 1, better, 1 - better))
    unpaired = 2 * 1.96 * np.sqrt(2) * by_row.std() / np.sqrt(500) / by_row.mean()
    assert found.high - found.low < unpaired / 20


def test_a_repeated_run_finds_the_same_and_another_model_changes_nothing():
    labels, better, worse = sample("auc", 500, np.random.default_rng(8))
    alone = losses("auc", labels, [worse], better)
    assert losses("auc", labels, [worse], better) == alone
    assert losses("auc", labels, [better.round(1), worse], better)[1] == alone[0]


def test_one_row_of_a_class_is_in_every_draw():
    labels = np.array([1] + [0] * 30)
    scores = np.linspace(0.9, 0.1, 31)
    (found,) = losses("auc", labels, [scores[::-1]], scores)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_a_reference_without_error_still_gives_numbers():
    labels = np.arange(10.0)
    found = losses("rmse", labels, [labels + 1, labels], labels)
    assert found[0].high == found[0].value == 1e9
    assert (found[1].value, found[1].high) == (0, 0)
