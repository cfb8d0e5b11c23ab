"""Which answers and figures are good enough."""

import json

import pytest

from components.artifacts import Question
from components.rehearse.config import Rehearse
from components.rehearse.judge import Figures, broken_limits, check
from components.rehearse.replay import Answer, Replay


def asked(*expected) -> list[Question]:
    return [Question(f"held-out row {i}", {}, answer, "evaluate predicted") for i, answer in enumerate(expected)]


def answered(*predictions, status: int = 200) -> Answer:
    return Answer(status, json.dumps({"predictions": list(predictions)}).encode(), 0.001)


def test_equal_answers_pass():
    groups = [asked(0.25, 0.5), asked(0.75)]
    checked = check(groups, Replay([answered(0.25, 0.500001), answered(0.75)], 1.0), 1e-5)
    assert checked.failures == []
    assert checked.largest_difference == pytest.approx(1e-6)


def test_the_first_answer_that_differs_is_named():
    groups = [[question] for question in asked(0.1, 0.2, 0.3, 0.4)]
    checked = check(groups, Replay([answered(0.1), answered(0.9), answered(0.3), answered(0.0)], 1.0), 1e-5)
    assert checked.failures == [
        "held-out row 1 is answered 0.9, but evaluate predicted 0.2; rehearse.tolerance allows a difference of 1e-05"
        " (2 of 4 answers are wrong)"
    ]
    assert checked.largest_difference == pytest.approx(0.7)


def test_the_row_within_a_batch_is_named():
    (failure,) = check([asked(0.1, 0.2, 0.3)], Replay([answered(0.1, 0.2, 0.4)], 1.0), 1e-5).failures
    assert failure.startswith("held-out row 2 is answered 0.4")


def test_large_numbers_may_differ_in_proportion():
    assert check([asked(1e6)], Replay([answered(1e6 + 1)], 1.0), 1e-5).failures == []
    assert check([asked(1e6)], Replay([answered(1e6 + 100)], 1.0), 1e-5).failures


def test_classes_are_compared_one_by_one():
    good, bad = answered([0.2, 0.8], [0.5, 0.5]), answered([0.2, 0.8], [0.5, 0.6])
    assert check([asked([0.2, 0.8], [0.5, 0.5])], Replay([good], 1.0), 1e-5).failures == []
    (failure,) = check([asked([0.2, 0.8], [0.5, 0.5])], Replay([bad], 1.0), 1e-5).failures
    assert "held-out row 1 is answered [0.5, 0.6], but evaluate predicted [0.5, 0.5]" in failure


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answered(0.1, status=400), "the server answers 400 to held-out row 0"),
        (Answer(200, b"not JSON", 0.1), "with other than 1 predictions: not JSON"),
        (Answer(200, b'{"answers": [1]}', 0.1), "with other than 1 predictions"),
        (Answer(200, b"\xff[]", 0.1), "with other than 1 predictions"),
        (answered(0.1, 0.2), "with other than 1 predictions"),
        (answered([0.1]), "with other than 1 predictions"),
        (answered("high"), "with other than 1 predictions"),
        (answered(None), "held-out row 0 is answered nan"),
    ],
)
def test_an_answer_that_is_none(answer, words):
    checked = check([asked(0.1)], Replay([answer], 1.0), 1e-5)
    assert len(checked.failures) == 1 and words in checked.failures[0]
    assert checked.largest_difference == 0


def test_a_replay_that_broke_off_names_the_row():
    groups = [[question] for question in asked(0.1, 0.2)]
    checked = check(groups, Replay([answered(0.1), None], 1.0, "it closed a connection"), 1e-5)
    assert checked.failures == ["the server failed when asked held-out row 1: it closed a connection"]


MEASURED = Figures(12.34, 56.7, 88.0, 1e5, 612_400_000, 3.21)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"latency_p50_ms": 5}, "p50 latency is 12.3 ms; rehearse.latency_p50_ms allows 5"),
        ({"latency_p99_ms": 5}, "p99 latency is 56.7 ms; rehearse.latency_p99_ms allows 5"),
        ({"min_requests_per_s": 100}, "throughput is 88 requests/s; rehearse.min_requests_per_s demands 100"),
        ({"memory_mb": 500}, "resident memory is 612 MB; rehearse.memory_mb allows 500"),
        ({"start_s": 1.5}, "the time from start to ready is 3.21 s; rehearse.start_s allows 1.5"),
    ],
)
def test_each_limit(limit, sentence):
    none = dict.fromkeys(("latency_p50_ms", "latency_p99_ms", "min_requests_per_s", "memory_mb", "start_s"))
    (name,) = limit
    assert broken_limits(MEASURED, Rehearse(**{**none, name: float(limit[name])})) == [sentence]
    assert broken_limits(MEASURED, Rehearse(**none)) == []
    assert broken_limits(Figures(), Rehearse(**{**none, name: float(limit[name])})) == []


def test_what_is_on_the_limit_keeps_it():
    limits = Rehearse(latency_p50_ms=12.34, latency_p99_ms=56.7, min_requests_per_s=88.0, memory_mb=612.4, start_s=3.21)
    assert broken_limits(MEASURED, limits) == []
