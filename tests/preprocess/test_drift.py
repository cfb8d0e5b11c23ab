"""Drift of constants: in deviations, whatever the constants are."""

import math

import numpy as np
import pytest

from components.features.declaration import Bounds, Moments
from components.preprocess.drift import largest, of_bounds, of_moments

BASE = Moments(10.0, 2.0, 0.0, 20.0)


@pytest.mark.parametrize(
    ("base", "mean", "std", "deviations"),
    [
        (BASE, 10.0, 2.0, 0),
        (BASE, 13.0, 2.0, 1.5),
        (BASE, 7.0, 2.0, 1.5),
        (BASE, 10.0, 2.0 * math.e**2, 2),
        (BASE, 10.0, 2.0 / math.e**2, 2),
        (BASE, 11.0, 2.0 * math.e**2, 2),
        (BASE, 10.0, 0.0, 0),
        (Moments(5.0, 0.0, 5.0, 5.0), 5.0, 0.0, 0),
        (Moments(2013.0, 1e-13, 2013.0, 2013.0), 2014.0, 0.0, 1),
        (Moments(5.0, 0.0, 5.0, 5.0), 5.0, math.e**3, 3),
        (Moments(5.0, 0.0, 5.0, 5.0), 5.0, 0.1, 0),
    ],
)
def test_moments(base, mean, std, deviations):
    assert of_moments("x", base, mean, std).deviations == pytest.approx(deviations)


def test_words_name_what_moved():
    assert of_moments("x", BASE, 16.0, 4.0).words == "the mean of x moved from 10 to 16"
    assert of_moments("x", BASE, 11.0, 20.0).words == "the deviation of x went from 2 to 20"


def shares(values, bounds):
    return [[float(f(values, bound).mean()) for bound in bounds] for f in (np.less, np.less_equal)]


@pytest.mark.parametrize("shift", [0.0, 0.5, -2.0])
def test_bounds_of_a_normal_distribution_drift_by_its_shift(shift):
    values = np.random.default_rng(0).normal(size=100_000)
    bounds = np.quantile(values, np.arange(1, 20) / 20)
    drift = of_bounds("x", Bounds(tuple(bounds)), *shares(values + shift, bounds))
    assert drift.deviations == pytest.approx(abs(shift), abs=0.03)


def test_ties_are_no_drift():
    values = np.random.default_rng(0).choice([0.0, 0.0, 0.0, 1.0, 7.0], 10_000)
    bounds, quantiles = np.unique(np.quantile(values, np.arange(1, 12) / 12, method="higher"), return_counts=True)
    base = Bounds(tuple(bounds), tuple(quantiles))
    assert base.quantiles == (7, 2, 2)
    assert of_bounds("x", base, *shares(values, bounds)).deviations == 0
    moved = of_bounds("x", base, *shares(values + 10, bounds))
    assert moved.words == "92% of the values of x moved over a bound of its buckets"
    assert moved.deviations > 3


def test_values_where_there_were_none_drift_far():
    assert of_bounds("x", Bounds(()), [], []).deviations > 5


def test_the_largest_decides():
    small, large = of_moments("a", BASE, 11, 2), of_moments("b", BASE, 15, 2)
    assert largest([small, large, small]) == large
    assert largest([]) is None
