"""Remembered predictions: bounded, by what was asked, the least recently asked go first."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serve import served_model
from components.serve.cache import VALUE_BYTES, Cache
from components.serve.cost import Cost
from components.serve.counters import Counters
from components.serve.limits import Limits
from components.serve.served_model import ServedModel, Source
from tests.serve.small import INSTANCE, deploy, metrics, predict


def test_the_least_recently_asked_go_first() -> None:
    cache = Cache(2)
    cache.put((1,), 0.1)
    cache.put((2,), 0.2)
    assert cache.get((1,)) == 0.1
    cache.put((3,), 0.3)
    assert (cache.get((1,)), cache.get((2,)), cache.get((3,))) == (0.1, None, 0.3)


def test_rows_of_one_hash_are_told_apart() -> None:
    assert hash((-1,)) == hash((-2,))
    cache = Cache(10)
    cache.put((-1,), 0.1)
    assert cache.get((-2,)) is None
    cache.put((-2,), 0.2)
    assert (cache.get((-1,)), cache.get((-2,))) == (None, 0.2)


def test_long_texts_are_bounded_by_their_size() -> None:
    cache = Cache(1000, max_bytes=160_000)
    cache.put(("x" * 20_000, None), 0.1)
    assert cache.get(("x" * 20_000, None)) is None
    for number in range(100):
        cache.put((number, "x" * (10_000 - 2 * VALUE_BYTES)), 0.1)
        assert cache.bytes <= 160_000
    assert len(cache) == 16


def test_no_entries_no_cache() -> None:
    cache = Cache(0)
    cache.put((1,), 0.1)
    assert len(cache) == 0 and cache.get((1,)) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 6), st.integers(0, 40)), max_size=200))
def test_against_a_plain_model(steps: list[tuple[bool, int, int]]) -> None:
    most = 8 * VALUE_BYTES + 40
    cache = Cache(4, max_bytes=16 * most)
    known: dict[tuple, int] = {}
    for step, (is_put, number, size) in enumerate(steps):
        row = (number, "x" * size)
        if is_put:
            for same in [other for other in known if hash(other) == hash(row)]:
                del known[same]
            known[row] = step
            cache.put(row, step)
            while len(known) > 4:
                del known[next(iter(known))]
        else:
            found = known.pop(row, None)
            if found is not None:
                known[row] = found
            assert cache.get(row) == found
        assert cache.bytes == sum(2 * VALUE_BYTES + len(text) for _, text in known)


def test_hits_are_counted_and_answered_alike(start, dear_low, tmp_path) -> None:
    deploy(tmp_path, "small", dear_low, cache_entries=3)
    url = start("--work", tmp_path).url
    instances = [{**INSTANCE, "amount": float(amount)} for amount in range(4)]
    first = [predict(url, [instance]).json() for instance in instances]
    again = [predict(url, [instance]).json() for instance in reversed(instances)]
    assert again == first[::-1]
    assert [answer["predictions"][0] for answer in first] == pytest.approx(dear_low.predict(instances), abs=1e-6)
    values = metrics(url)
    assert values['evergreen_cache_hits_total{model="small"}'] == 3
    assert values['evergreen_cache_misses_total{model="small"}'] == 5
    assert values['evergreen_cache_entries{model="small"}'] == 3


def test_equal_meaning_is_one_entry_and_other_values_are_others(start, dear_low, tmp_path) -> None:
    deploy(tmp_path, "small", dear_low)
    url = start("--work", tmp_path).url
    for same in (
        {"amount": 1, "count": None},
        {"amount": 1.0},
        {"label": 5, "amount": 1.0},
        {"amount": 1.0, "id": "x"},
    ):
        predict(url, [same])
    assert metrics(url)['evergreen_cache_entries{model="small"}'] == 1
    for other in ({"amount": 1.5}, {"count": 1}, {"carrier": "1"}, {"open": True}, {"when": "1970-01-01T00:00:01"}):
        assert predict(url, [other]).json()["predictions"] == pytest.approx(dear_low.predict([other]), abs=1e-6)
    assert metrics(url)['evergreen_cache_entries{model="small"}'] == 6


@pytest.mark.parametrize(("cost_s", "entries"), [(5e-6, 0), (1e-3, 1)])
def test_only_a_prediction_that_costs_enough_is_remembered(low, monkeypatch, cost_s, entries) -> None:
    monkeypatch.setattr(served_model, "measure", lambda *_: Cost(cost_s, cost_s, 1e-6))
    counters = Counters()
    model = ServedModel(Source("small", low.folder), Limits(), counters, 1e-6)
    rows = model.reader.from_json([INSTANCE])
    answers = [asyncio.run(model.predict(rows)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert (counters.cache_misses, counters.cache_hits, len(model.cache)) == (entries, entries, entries)
