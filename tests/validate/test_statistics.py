import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features.arrow import arrow_schema
from components.features.columns import Data
from components.validate import statistics
from components.validate.statistics import Numbers, describe, quantile_edges, summarize

FLOATS = st.floats(-1e9, 1e9)


def described(tmp_path, columns, label="y", task="regression", **table):
    data = Data(columns=columns, label=label, task=task)
    schema = arrow_schema(data)
    paths = []
    for part in range(len(next(iter(table.values())))):
        arrays = [
            pa.array(parts[part], from_pandas=False).cast(schema.field(name).type) for name, parts in table.items()
        ]
        paths.append(tmp_path / f"{part}.parquet")
        pq.write_table(pa.table(arrays, names=list(table)), paths[-1], row_group_size=7)
    return describe(summarize(paths, data), label)


def test_moments_equal_numpys_over_several_files(tmp_path):
    random = np.random.default_rng(1)
    parts = [random.normal(1e6, 3, size).tolist() for size in (1, 50, 1000)]
    found = described(tmp_path, {"x": "float", "y": "float"}, x=parts, y=parts)["columns"]["x"]
    whole = np.concatenate(parts)
    assert found["rows"] == 1051
    assert found["mean"] == pytest.approx(whole.mean(), rel=1e-12)
    assert found["std"] == pytest.approx(whole.std(), rel=1e-9)
    assert (found["min"], found["max"]) == (whole.min(), whole.max())


def test_bins_hold_equal_shares_that_numpy_counts_too(tmp_path):
    values = np.random.default_rng(2).normal(size=5000)
    found = described(tmp_path, {"x": "float", "y": "float"}, x=[values], y=[values])["columns"]["x"]
    counted, _ = np.histogram(values, [-np.inf, *found["edges"], np.inf])
    assert found["shares"] == pytest.approx(counted / 5000)
    assert len(found["shares"]) == 20
    assert found["shares"] == pytest.approx([0.05] * 20, abs=0.001)


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=80))
def test_edges_ascend_and_every_frequent_value_has_a_bin_of_its_own(values):
    edges = quantile_edges(np.asarray(values))
    assert sorted(set(edges)) == edges
    bins = np.searchsorted(edges, values)
    for value, count in zip(*np.unique(values, return_counts=True)):
        neighbours = [other for other in values if other != value and math.isclose(other, value, rel_tol=1e-12)]
        if count * 20 >= len(values) and not neighbours and abs(value) > 1e-300:
            mine = bins[np.asarray(values) == value][0]
            assert {v for v, b in zip(values, bins) if b == mine} == {value}


def test_a_constant_column_notices_values_on_either_side():
    edges = quantile_edges(np.full(100, 5.0))
    assert len(set(np.searchsorted(edges, [-9.0, 5.0, 99.0]).tolist())) == 3


def test_missing_counts_null_nan_and_infinity(tmp_path):
    values = [1.0, None, float("nan"), float("inf"), 3.0]
    found = described(tmp_path, {"x": "float", "y": "float"}, x=[values], y=[[1.0] * 5])["columns"]["x"]
    assert found["missing"] == pytest.approx(3 / 5)
    assert found["mean"] == 2.0


@pytest.mark.parametrize("values", [[None, None], [1e308, -1e308, 1e308], [5e-324, -0.0], []])
def test_every_number_is_finite(tmp_path, values):
    found = described(tmp_path, {"x": "float", "y": "float"}, x=[values], y=[values])
    json.dumps(found, allow_nan=False)


def test_texts_are_counted_over_files(tmp_path):
    parts = [["a", "b", "é", None], ["b", "b", "c", ""]]
    found = described(tmp_path, {"x": "string", "y": "float"}, x=parts, y=[[1.0] * 4] * 2)["columns"]["x"]
    assert found["labels"][0] == "b"
    assert dict(zip(found["labels"], found["shares"])) == pytest.approx(
        {"b": 3 / 7, **dict.fromkeys("acé", 1 / 7), "": 1 / 7}
    )
    assert (found["distinct"], found["missing"], found["rest"], found["others"]) == (5, 1 / 8, 0, [])


def test_rare_texts_are_named_without_their_shares(tmp_path):
    values = [f"t{number}" for number in range(300)] + ["common"] * 100
    found = described(tmp_path, {"x": "string", "y": "float"}, x=[values], y=[[1.0] * 400])["columns"]["x"]
    assert (len(found["labels"]), len(found["others"]), found["distinct"]) == (100, 201, 301)
    assert sum(found["shares"]) + found["rest"] == pytest.approx(1)


def test_memory_for_texts_is_bounded_and_the_frequent_ones_survive(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "MAX_TOKENS", 50)
    parts = [[f"rare{part}-{number}" for number in range(60)] + ["common"] * 5 for part in range(20)]
    found = described(tmp_path, {"x": "string", "y": "float"}, x=parts, y=[[1.0] * 65] * 20)["columns"]["x"]
    assert found["labels"][0] == "common"
    assert found["shares"][0] == pytest.approx(100 / (found["distinct"] - 1 + 100))
    assert found["distinct"] < 20 * 60


def test_few_integers_are_labels_and_many_are_bins(tmp_path):
    few, many = [1, 2, 2, None] * 100, list(range(400))
    found = described(tmp_path, {"few": "integer", "many": "integer"}, "many", few=[few], many=[many])["columns"]
    assert (found["few"]["kind"], found["few"]["labels"], found["few"]["max"]) == ("category", ["2", "1"], 2)
    assert found["many"]["kind"] == "numeric"


def test_timestamps_are_seconds_and_booleans_and_classes_are_labels(tmp_path):
    found = described(
        tmp_path,
        {"t": "timestamp", "b": "boolean", "y": "integer"},
        task="binary",
        t=[[0, 2_000_000]],
        b=[[True, None]],
        y=[[1, 0]],
    )
    assert found["columns"]["t"]["max"] == 2.0
    assert found["columns"]["b"]["labels"] == ["true"]
    assert found["columns"]["y"]["labels"] == ["0", "1"]
    assert (found["rows"], found["labelled"], found["label"]) == (2, 2, "y")


def test_a_large_column_is_sampled_the_same_way_every_time(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "SAMPLE_ROWS", 1000)
    values = np.random.default_rng(3).normal(size=20_000)
    first, second = (
        described(tmp_path, {"x": "float", "y": "float"}, x=[values], y=[values])["columns"]["x"] for _ in range(2)
    )
    assert first == second
    assert first["max"] == values.max()
    assert first["edges"] == pytest.approx(np.quantile(values, np.arange(1, 20) / 20), abs=0.25)


def test_sample_is_bounded(monkeypatch):
    numbers = Numbers("float")
    numbers.add(pa.array([1.0, 2.0, None]), np.asarray([True, False, True]))
    assert numbers.sample.tolist() == [1.0]
    assert (numbers.count, numbers.rows) == (2, 3)
