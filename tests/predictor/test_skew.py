"""Training and serving cannot differ: the SavedModel, the predictor and the server answer real flights the same.

The model is not quantised. Answers are compared within 1e-5, ids of categories exactly.
"""

import json
import math
import urllib.request
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.features.arrow import dense
from components.features.rows import from_rows
from components.features.values import ValueTransform
from components.predictor.predictor import Predictor
from tests.predictor.flights import FlightsModel, flights, make

TOLERANCE = 1e-5
FLOAT_TOLERANCE = 1e-6
"""Of max(1, |x|), for the transform's floats."""
ROWS = 10_000
EPOCH = datetime(1970, 1, 1)
WORDS = ["", " ", "B6", "b6", "東京", "\x00", "N/A", "NaN", "12", "🛫", "x" * 300]
EXTREMES = {
    "integer": [-(2**63) + 1, 2**63 - 1, 2**53 + 1, -1, 0, None],
    "float": [1e39, -1e39, 3.4e38, 1e-40, -0.0, 0, 7, 2**60, None],
    "string": [*WORDS, None],
    "boolean": [True, False, None],
    "timestamp": [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), datetime(1970, 1, 1), None],
}


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    return tmp_path_factory.mktemp("feed")


@pytest.fixture(scope="module")
def table(feed) -> pa.Table:
    return flights(feed, ROWS)


@pytest.fixture(scope="module")
def model(table, tmp_path_factory) -> FlightsModel:
    return make(tmp_path_factory.mktemp("model"), table)


@pytest.fixture(scope="module")
def predictor(model) -> Predictor:
    return Predictor.load(model.serving)


def instances(table, predictor):
    """Rows as a client sends them: some leave a missing value out, others send null."""
    rows = table.select(predictor.source_columns).to_pylist()
    return [
        {name: json_value(value) for name, value in row.items() if value is not None or number % 2}
        for number, row in enumerate(rows)
    ]


def json_value(value):
    return value.isoformat() if isinstance(value, datetime) else value


def rows_of_values(rows, predictor):
    return [tuple(row.get(name) for name in predictor.source_columns) for row in rows]


def assert_close(answers, expected):
    assert answers.dtype == np.float32
    assert answers.shape == expected.shape
    np.testing.assert_allclose(answers, expected, rtol=0, atol=TOLERANCE)


def assert_same_features(made, graph):
    floats, ids = made
    np.testing.assert_array_equal(ids, graph["ids"].numpy())
    wide = floats.astype(np.float64)
    assert (np.abs(graph["floats"].numpy() - wide) <= FLOAT_TOLERANCE * np.maximum(1, np.abs(wide))).all()


def check_answers(table, model, predictor):
    raw = dense(table, model.transform.data, predictor.source_columns)
    expected = model.expected(raw)
    assert expected.std() > 0.03
    assert_close(predictor.predict(raw), expected)
    rows = rows_of_values(table.select(predictor.source_columns).to_pylist(), predictor)
    assert_close(predictor.predict_rows(rows), expected)
    graph = model.graph(model.tensors(raw))
    assert_same_features(predictor.transform(raw), graph)
    assert_same_features(ValueTransform(model.transform)(rows), graph)


@pytest.mark.nightly
def test_real_flights_are_answered_as_the_saved_model_does(table, model, predictor):
    check_answers(table, model, predictor)


@pytest.mark.nightly
def test_all_flights_are_answered_as_the_saved_model_does(feed, model, predictor):
    every = flights(feed)
    assert every.num_rows == 336_776
    for start in range(0, every.num_rows, 50_000):
        check_answers(every.slice(start, 50_000), model, predictor)


def test_a_row_alone_is_answered_as_among_others(table, model, predictor):
    some = table.take(list(range(0, ROWS, 10)))
    expected = model.expected(dense(some, model.transform.data, predictor.source_columns))
    rows = some.select(predictor.source_columns).to_pylist()
    alone = [predictor.predict_rows(rows_of_values([row], predictor))[0] for row in rows]
    assert_close(np.array(alone), expected)


def test_the_server_answers_real_flights_as_the_saved_model_does(table, model, predictor):
    from components.serve.launch import ServerProcess

    expected = model.expected(dense(table, model.transform.data, predictor.source_columns))
    rows = instances(table, predictor)
    with ServerProcess(["--folder", f"flights={model.serving}"], None) as server:
        assert_close(ask(server, rows, 500, as_instances), expected)
        assert_close(ask(server, rows, 2000, as_inputs), expected)
        assert_close(ask(server, rows[:300], 1, as_instances), expected[:300])


def as_instances(chunk):
    return {"instances": chunk}


def as_inputs(chunk):
    names = sorted({name for row in chunk for name in row})
    return {"inputs": {name: [row.get(name) for row in chunk] for name in names}}


def ask(server, rows, size, body):
    """The answers of rows sent `size` at a time."""
    answers = []
    for start in range(0, len(rows), size):
        content = json.dumps(body(rows[start : start + size])).encode()
        request = urllib.request.Request(
            f"{server.url}/v1/models/flights:predict", content, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answers += json.load(answer)["predictions"]
    return np.array(answers, np.float32)


def values(kind, declared, known):
    """Values of a column that a model may be asked for, most of them within what is declared."""
    if kind == "string":
        return st.sampled_from([*known, *EXTREMES[kind]]) | st.text(
            st.characters(exclude_categories=["Cs"]), max_size=6
        )
    if kind == "boolean":
        return st.sampled_from(EXTREMES[kind])
    if kind == "timestamp":
        return st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
    low = -1000 if declared.min is None else declared.min
    high = 5000 if declared.max is None else declared.max
    if kind == "integer":
        return st.none() | st.integers(math.ceil(low), math.floor(high))
    return st.none() | st.floats(low, high, width=32)


def rows_of(data, names, strategy):
    row = st.fixed_dictionaries({}, optional={name: strategy(name, data.columns[name]) for name in names})
    return st.lists(row, min_size=1, max_size=8)


def known_values(table, name):
    return [value for value in table[name].unique().to_pylist()[:20] if value is not None]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(drawn=st.data())
def test_any_row_is_answered_as_the_saved_model_does(table, model, predictor, drawn):
    data, names = model.transform.data, predictor.source_columns
    rows = drawn.draw(rows_of(data, names, lambda name, it: values(it.type, it, known_values(table, name))))
    expected = model.expected(from_rows(rows, data, names))
    assert_close(predictor.predict_rows(rows_of_values(rows, predictor)), expected)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(drawn=st.data())
def test_extreme_values_become_the_same_features(table, model, predictor, drawn):
    """Features only: on numbers of 1e38 a network's sums depend on the order of adding."""
    data, names = model.transform.data, predictor.source_columns

    def strategy(name, declared):
        return st.sampled_from([*EXTREMES[declared.type], *known_values(table, name)])

    rows = drawn.draw(rows_of(data, names, strategy))
    raw = from_rows(rows, data, names)
    graph = model.graph(model.tensors(raw))
    assert_same_features(predictor.transform(raw), graph)
    assert_same_features(ValueTransform(model.transform)(rows_of_values(rows, predictor)), graph)
