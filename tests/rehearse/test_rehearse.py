"""The rehearsal with the real server in its own process: what it lets pass, and what it refuses."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from components import artifacts
from components.artifacts import Question
from components.errors import UserError
from components.predictor.predictor import Predictor
from components.rehearse import rehearse as step
from components.rehearse import replay
from components.rehearse.config import Rehearse
from components.rehearse.questions import handed_on, recorded


def test_a_sound_model_is_fit(stage):
    details = stage.rehearse()
    assert (details["decision"], details["failures"]) == ("fit", [])
    assert (details["rows"], details["recorded"], details["unfit_recorded"]) == (300, 0, 0)
    assert details["reason"] == "the server answered 300 held-out rows as it must, within every limit"
    assert 0 < details["latency_p50_ms"] <= details["latency_p99_ms"]
    assert details["requests_per_s"] > 0 and details["instances_per_s"] > details["requests_per_s"]
    assert 10e6 < details["memory_bytes"] < 500e6
    assert 0 < details["start_s"] < 60
    assert details["largest_difference"] <= 1e-6


def test_default_limits_suit_a_busy_laptop(stage):
    details = stage.rehearse(**Rehearse().model_dump(exclude={"requests"}))
    assert details["decision"] == "fit", details["reason"]
    assert details["limits"] == Rehearse().model_dump(exclude={"requests", "concurrency"})
    assert None not in details["limits"].values()


def test_probabilities_of_several_classes(stage):
    stage.use("multiclass")
    assert stage.predictions.shape == (300, 3)
    assert stage.rehearse()["decision"] == "fit"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"latency_p50_ms": 1e-4}, "rehearse.latency_p50_ms allows 0.0001"),
        ({"min_requests_per_s": 1e9}, "rehearse.min_requests_per_s demands 1e+09"),
        ({"memory_mb": 5.0, "start_s": 1e-3}, "rehearse.memory_mb allows 5; and the time from start to ready is"),
    ],
)
def test_a_broken_limit_makes_it_unfit(stage, limit, words):
    details = stage.rehearse(**limit)
    assert details["decision"] == "unfit"
    assert words in details["reason"]
    assert len(details["failures"]) == len(limit)
    assert details["latency_p50_ms"] > 0 and details["rows"] == 300


def test_an_answer_other_than_evaluates_makes_it_unfit(stage):
    predictions = stage.predictions
    predictions[[150, 290]] += np.float32(0.01)
    stage.write(predictions)
    details = stage.rehearse()
    assert details["decision"] == "unfit"
    assert details["reason"].startswith("held-out row 150 is answered ")
    assert f"but evaluate predicted {float(predictions[150])}; rehearse.tolerance" in details["reason"]
    assert details["largest_difference"] == pytest.approx(0.01, abs=1e-6)
    assert stage.rehearse(tolerance=0.02)["decision"] == "fit"


def test_few_rows_are_asked_again_and_again(stage):
    stage.use("binary", rows=3)
    details = stage.rehearse(requests=100)
    assert (details["decision"], details["rows"]) == ("fit", 3)


def test_recorded_requests_are_replayed(stage):
    good = [
        {"temp": 3.5, "seats": 100, "origin": "JFK", "cargo": True, "time": "2013-05-01T10:00:00"},
        {"temp": 3, "origin": None},
        {},
        {"origin": "東京", "late": 1},
    ]
    stage.log(*good, {"gate": "A7"}, {"temp": "warm"})
    details = stage.rehearse()
    assert (details["decision"], details["recorded"], details["unfit_recorded"]) == ("fit", 4, 2)
    assert details["unfit_example"].startswith("gate is not a field")
    assert details["reason"] == (
        "the server answered 300 held-out rows and 4 recorded requests as it must, within every limit"
    )


def test_only_the_newest_requests_are_replayed(stage):
    stage.log({"gate": 1}, *[{"seats": number} for number in range(200)])
    details = stage.rehearse(requests=100)
    assert (details["recorded"], details["unfit_recorded"], details["rows"]) == (100, 0, 100)


def test_a_damaged_variant_is_unfit_by_name(stage):
    (stage.serving / artifacts.LITERT_MODEL).write_bytes(b"no model")
    details = stage.rehearse()
    assert details["decision"] == "unfit"
    assert "chosen/serving/model.tflite cannot be run" in details["reason"]
    assert (details["start_s"], details["rows"]) == (None, 0)


def test_a_server_that_does_not_start_is_told(stage, monkeypatch):
    def damaged(_: Path, folder: Path) -> None:
        (folder / artifacts.MODEL_YAML).write_text("serve: [")

    monkeypatch.setattr(step, "_stage", damaged)
    details = stage.rehearse()
    assert details["decision"] == "unfit"
    assert details["start_s"] is None and details["reason"]


@pytest.mark.parametrize(
    ("how", "words"),
    [(signal.SIGKILL, "the server failed when asked held-out row "), (signal.SIGSTOP, "it answered nothing for ")],
)
def test_a_server_that_dies_or_hangs_is_told(stage, monkeypatch, how, words):
    perform = step.perform

    def struck(server, *arguments):
        os.kill(server.pid, how)
        try:
            return perform(server, *arguments)
        finally:
            if how == signal.SIGSTOP:
                os.kill(server.pid, signal.SIGCONT)

    monkeypatch.setattr(step, "perform", struck)
    monkeypatch.setattr(replay, "TIMEOUT_S", 0.5)
    details = stage.rehearse()
    assert details["decision"] == "unfit"
    assert words in details["reason"]
    assert details["memory_bytes"] is None


def test_without_evaluates_predictions_nothing_is_compared(stage):
    (stage.chosen / artifacts.HELDOUT_PREDICTIONS).unlink()
    with pytest.raises(UserError, match=r"heldout_predictions\.npy is missing; run evaluate again"):
        stage.rehearse()
    for rows in (0, 7000):
        stage.write(np.zeros(rows, np.float32))
        with pytest.raises(UserError, match=r"is not of the rows of .*heldout\.parquet; run evaluate again"):
            stage.rehearse(requests=8000)
    (stage.chosen / artifacts.HELDOUT_PREDICTIONS).write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"heldout_predictions\.npy is damaged"):
        stage.rehearse()


def test_what_one_client_asked_keeps_no_model_from_service(stage):
    """An instance without a finite answer, and instances of which 64 are larger than a request may be."""
    stage.log({"temp": 3e38, "seats": 3}, *({"origin": "x" * 200_000} for _ in range(64)))
    details = stage.rehearse(requests=100)
    assert details["decision"] == "fit", details["reason"]
    assert details["recorded"] + details["unfit_recorded"] == 65


def test_a_recorded_request_without_a_finite_answer_is_not_asked_again(stage, monkeypatch):
    stage.log({"temp": 1.0}, {"temp": 2.0})
    monkeypatch.setattr(Predictor, "predict", lambda self, raw: np.array([0.5, np.nan], np.float32))
    predictor = Predictor.load(stage.serving)
    questions, misfits = recorded(stage.work, "flights", predictor, 10)
    assert [question.instance for question in questions] == [{"temp": 1.0}]
    assert misfits == ["the model has no finite answer"]


def test_what_was_asked_is_handed_on_for_whoever_puts_it_into_service(stage):
    instance = {"temp": 3.0, "seats": 120, "origin": "JFK", "cargo": True, "time": "2013-01-31T17:05:00"}
    stage.log(*[{**instance, "seats": seats} for seats in range(400)])
    stage.rehearse()
    questions = artifacts.parse_questions((stage.recorded / artifacts.RECORDED_REQUESTS).read_bytes())
    logged = [question for question in questions if question.name.startswith("recorded")]
    assert (len(questions), len(logged)) == (256, 128)
    assert logged[-1].instance["seats"] == 399, "the newest"
    held_out = [question.expected for question in questions if question not in logged]
    np.testing.assert_array_equal(np.float32(held_out), stage.predictions[:128])


def test_a_variant_that_cannot_be_loaded_hands_on_nothing(stage):
    (stage.serving / artifacts.LITERT_MODEL).write_bytes(b"no model")
    stage.rehearse()
    assert artifacts.parse_questions((stage.recorded / artifacts.RECORDED_REQUESTS).read_bytes()) == []


def test_no_more_is_handed_on_than_a_version_should_carry():
    rows = [Question("row", {"image": "x" * (1 << 20)}, 0.5, "somebody says") for _ in range(9)]
    assert len(handed_on([], rows)) == 3
    assert handed_on([], [Question("row", {}, float("nan"), "somebody says")]) == []
