"""Metrics against values worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.evaluate.metrics import auc, calibration, compute, loss, of_constant


def test_binary_by_hand():
    found = compute("binary", np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9], np.float32))
    assert found["auc"] == pytest.approx(3.5 / 4)
    assert found["accuracy"] == 0.75
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4, rel=1e-6)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.6, 0.9]).mean(), rel=1e-6)


@pytest.mark.parametrize("digits", [1, 2, 7], ids=["many ties", "some ties", "no ties"])
def test_binary_as_scikit_learn(digits):
    random = np.random.default_rng(0)
    probabilities = random.random(3000).round(digits).clip(0.01, 0.99)
    labels = (random.random(3000) < probabilities).astype(np.int64)
    found = compute("binary", labels, probabilities)
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, probabilities))
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(labels, probabilities))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, probabilities > 0.5))


def test_auc_of_one_score_for_all_is_one_half():
    assert auc(np.array([0, 1, 1]), np.zeros(3)) == 0.5


def test_certain_and_wrong_is_a_finite_log_loss():
    found = compute("binary", np.array([0, 1]), np.array([1.0, 0.0], np.float32))
    assert found["log_loss"] == pytest.approx(-np.log(1e-7))


def test_multiclass_as_scikit_learn():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(4), 500)
    labels = random.integers(0, 4, 500)
    found = compute("multiclass", labels, probabilities)
    assert found["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities))


def test_regression_by_hand():
    found = compute("regression", np.array([1.0, 2.0, 6.0]), np.array([1, 4, 5], np.float32))
    assert found["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert found["mae"] == pytest.approx(1.0)
    assert found["r2"] == pytest.approx(1 - 5 / 14)


def test_regression_of_equal_labels_is_finite():
    assert compute("regression", np.ones(3), np.array([1, 1, 2], np.float32))["r2"] == 0


@pytest.mark.parametrize(
    "metric, labels, expected",
    [
        ("auc", [0, 0, 0, 1], 0.5),
        ("accuracy", [0, 0, 0, 1], 0.75),
        ("log_loss", [0, 0, 0, 1], -0.75 * np.log(0.75) - 0.25 * np.log(0.25)),
        ("rmse", [1.0, 3.0], 1.0),
        ("mae", [1.0, 1.0, 4.0], 1.0),
    ],
)
def test_the_best_constant(metric, labels, expected):
    assert of_constant(metric, np.array(labels)) == pytest.approx(expected)


def test_loss_is_a_difference_of_auc_and_a_share_of_an_error():
    assert loss("auc", 0.69, 0.70) == pytest.approx(0.01)
    assert loss("rmse", 110.0, 100.0) == pytest.approx(0.1)
    assert loss("rmse", 90.0, 100.0) < 0


def test_calibration_has_ten_bins_of_equal_rows():
    probabilities = np.linspace(0, 1, 1000, dtype=np.float32)
    labels = (np.arange(1000) % 4 == 0).astype(np.int64)
    bins = calibration(labels, probabilities)
    assert [part["rows"] for part in bins] == [100] * 10
    assert [part["observed"] for part in bins] == [0.25] * 10
    assert bins[0]["predicted"] == pytest.approx(0.0495, abs=1e-3)


def test_equal_predictions_share_a_bin():
    bins = calibration(np.array([0, 1, 1, 1]), np.full(4, 0.5, np.float32))
    assert bins == [{"predicted": 0.5, "observed": 0.75, "rows": 4}]
