import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from components.validate.drift import expected_divergence, jensen_shannon, measure, skip_reason
from components.validate.statistics import Numbers, Tokens

LIMIT = 0.1


def numbers(values):
    summary = Numbers("float")
    summary.add(pa.array(values, pa.float64(), from_pandas=True), np.ones(len(values), bool))
    return summary


def tokens(values):
    summary = Tokens("string")
    summary.add(pa.array(values, pa.string()), np.ones(len(values), bool))
    return summary


def distance(old, new, is_label=False):
    return measure(old.describe(), new, is_label)["distance"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=20))
def test_divergence_equals_scipys(pairs):
    old, new = np.add(np.transpose(pairs), [[0.001], [0.002]])
    old, new = old / old.sum(), new / new.sum()
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(jensenshannon(old, new, base=2)) ** 2
    assert jensen_shannon(old, new) == pytest.approx(expected, abs=1e-9)


def test_divergence_is_0_of_equal_and_1_of_disjoint_distributions():
    assert jensen_shannon(np.asarray([0.5, 0.5, 0]), np.asarray([0.5, 0.5, 0])) == 0
    assert jensen_shannon(np.asarray([0.5, 0.5, 0]), np.asarray([0, 0, 1.0])) == pytest.approx(1)


@pytest.mark.parametrize(("old_rows", "new_rows"), [(5000, 200), (1000, 1000)])
def test_expected_divergence_is_what_equal_samples_show(old_rows, new_rows):
    random = np.random.default_rng(0)
    shares = np.full(20, 0.05)
    found = [
        jensen_shannon(random.multinomial(old_rows, shares) / old_rows, random.multinomial(new_rows, shares) / new_rows)
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(expected_divergence(20, old_rows, new_rows), rel=0.05)


@pytest.mark.parametrize("rows", [100, 300, 5000])
def test_the_same_distribution_never_drifts(rows):
    for seed in range(40):
        random = np.random.default_rng(seed)
        zipf = [f"t{value}" for value in random.zipf(1.3, 20_000 + rows)]
        values = random.lognormal(size=20_000 + rows)
        values[random.random(len(values)) < 0.4] = 0
        values[random.random(len(values)) < 0.1] = np.nan
        assert distance(numbers(values[:20_000]), numbers(values[20_000:])) < LIMIT / 2
        assert distance(tokens(zipf[:20_000]), tokens(zipf[20_000:])) < LIMIT / 2


@pytest.mark.parametrize("rows", [100, 300, 5000])
def test_a_shifted_distribution_drifts(rows):
    for seed in range(20):
        random = np.random.default_rng(seed)
        old = numbers(random.normal(size=20_000))
        assert distance(old, numbers(random.normal(1.5, 1, rows))) > LIMIT
        assert distance(old, numbers(random.normal(0, 4, rows))) > LIMIT
        assert distance(old, numbers(np.where(random.random(rows) < 0.4, np.nan, 0.1))) > LIMIT
        airports = tokens(random.choice(["a", "b", "c"], 20_000, p=[0.6, 0.3, 0.1]))
        assert distance(airports, tokens(random.choice(["a", "b", "c"], rows, p=[0.1, 0.3, 0.6]))) > LIMIT
        assert distance(airports, tokens(random.choice(["a", "b", "new"], rows, p=[0.4, 0.2, 0.4]))) > LIMIT


def test_values_that_become_missing_are_drift_but_labels_not_yet_known_are_not():
    random = np.random.default_rng(0)
    old = numbers(random.normal(size=5000))
    values = random.normal(size=5000)
    gone = numbers(np.where(random.random(5000) < 0.5, np.nan, values))
    assert distance(old, gone) > LIMIT
    assert distance(old, gone, is_label=True) < 0.01
    assert distance(old, numbers(np.full(200, np.nan))) == pytest.approx(1, abs=0.02)


def test_a_constant_column_that_changes_drifts_fully():
    assert distance(numbers(np.zeros(500)), numbers(np.full(500, -1.0))) == pytest.approx(1, abs=0.01)
    assert distance(numbers(np.zeros(500)), numbers(np.full(500, 1.0))) == pytest.approx(1, abs=0.01)
    assert distance(numbers(np.zeros(500)), numbers(np.zeros(500))) == 0


def test_shares_and_bins_belong_together():
    random = np.random.default_rng(0)
    found = measure(numbers(random.normal(size=5000)).describe(), numbers(random.normal(size=400)), False)
    assert len(found["baseline"]) == len(found["current"]) == len(found["edges"]) + 1
    found = measure(tokens(["a"] * 500 + ["b"] * 500 + ["c"]).describe(), tokens(["a"] * 150 + ["x"] * 50), False)
    assert found["labels"] == ["a", "b", "(other)"]
    assert found["current"] == [0.75, 0, 0.25]
    assert sum(found["baseline"]) == pytest.approx(1)


def test_too_few_rows_and_unknown_columns_are_not_measured():
    old = numbers(np.zeros(500)).describe()
    assert "99 new rows are too few" in skip_reason(old, numbers(np.zeros(99)), False)
    assert skip_reason(old, numbers(np.zeros(100)), False) is None
    assert "no statistics" in skip_reason(None, numbers(np.zeros(500)), False)
    assert "no statistics" in skip_reason(old, tokens(["a"] * 500), False)
    assert "no value" in skip_reason(numbers(np.full(500, np.nan)).describe(), numbers(np.zeros(500)), True)
