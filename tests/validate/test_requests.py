"""Drift of what the model is asked: the server's log against what the version in service learned."""

import json
from typing import Any

import numpy as np
import pytest

from components import artifacts
from components.validate.config import Validate
from tests.validate.conftest import FEATURES


@pytest.fixture
def served(feed):
    """A first partition, and version 3 trained on it."""
    first = feed.partition("p1", feed.rows(2000))
    return first, feed.serve(feed.snapshot(first))


def instances(feed, rows: int, **columns: Any) -> list[dict[str, Any]]:
    """What clients ask: rows like those of training, without label, timestamps as ISO text."""
    raw = feed.rows(rows, seed=9, **columns)
    asked = [dict(zip(raw, values)) for values in zip(*(np.asarray(part).tolist() for part in raw.values()))]
    return [{**row, "time": "2013-05-01T10:00:00", "late": None} for row in asked]


def log(feed, asked: list[Any], version: int | None = 3) -> None:
    lines = [
        json.dumps({"time_s": 1e9 + index, "version": version, "instance": row, "prediction": 0.5})
        for index, row in enumerate(asked)
    ]
    folder = artifacts.request_log(feed.work, "flights")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{len(list(folder.iterdir()))}.jsonl").write_text("\n".join(lines) + '\n{"torn')


def warnings(outcome) -> list[str]:
    return [one["what"] for one in outcome.details["anomalies"] if one["severity"] == "warning"]


def test_without_a_log_nothing_is_said(feed, served):
    first, serving = served
    outcome = feed.run(feed.snapshot(first), serving)
    assert (outcome.error, outcome.details["requests"]) == (None, None)


def test_requests_like_those_of_training_have_not_drifted(feed, served):
    first, serving = served
    log(feed, instances(feed, 700))
    outcome = feed.run(feed.snapshot(first), serving)
    asked = outcome.details["requests"]
    assert (asked["version"], asked["rows"], asked["unfit"]) == (3, 700, 0)
    assert asked["drift"].keys() == {"temp", "seats", "origin", "cargo"}
    assert all(found["distance"] < found["limit"] == 0.1 for found in asked["drift"].values())
    assert asked["unseen"] == {"origin": 0, "cargo": 0}
    assert warnings(outcome) == []
    assert outcome.details["reason"] == "snapshot 3f2a77aa is the one that version 3 was trained on"


def test_drifted_requests_are_told_but_the_same_rows_are_not_trained_on_again(feed, served):
    first, serving = served
    log(feed, instances(feed, 700, temp=np.random.default_rng(0).normal(25, 5, 700)))
    outcome = feed.run(feed.snapshot(first), serving)
    assert outcome.answer == "nothing"
    assert "; what the model is asked has drifted from what it learned in temp (0." in outcome.details["reason"]
    assert [what.startswith("temp in 700 requests to version 3 has drifted") for what in warnings(outcome)] == [True]
    assert feed.run(feed.snapshot(first), serving, drift_limits={"temp": 1}).details["anomalies"] == []


def test_drifted_requests_are_reason_enough_where_new_rows_are_few(feed, served):
    first, serving = served
    log(feed, instances(feed, 700, temp=np.random.default_rng(0).normal(25, 5, 700)))
    snapshot = feed.snapshot(first, feed.partition("p2", feed.rows(200, seed=1)))
    outcome = feed.run(snapshot, serving, min_new_rows=1000)
    assert outcome.answer == "retrain"
    assert outcome.details["reason"].startswith("what the model is asked has drifted from what it learned in temp")
    assert outcome.statistics["rows"] == 2200


def test_warnings_of_requests_stop_no_run(feed, served):
    first, serving = served
    log(feed, instances(feed, 700, temp=np.random.default_rng(0).normal(25, 5, 700)))
    snapshot = feed.snapshot(first, feed.partition("p2", feed.rows(400, seed=1)))
    outcome = feed.run(snapshot, serving, stop_on="warning")
    assert (outcome.answer, outcome.error) == ("retrain", None)
    assert warnings(outcome)


def test_a_field_that_clients_leave_out_has_drifted(feed, served):
    first, serving = served
    log(feed, [{name: value for name, value in row.items() if name != "origin"} for row in instances(feed, 400)])
    found = feed.run(feed.snapshot(first), serving).details["requests"]["drift"]["origin"]
    assert (found["current_missing"], found["distance"] > 0.9) == (1.0, True)


def test_texts_never_seen_in_training_are_told(feed, served):
    first, serving = served
    log(feed, instances(feed, 400, origin=["BOS"] * 80 + ["EWR"] * 320))
    outcome = feed.run(feed.snapshot(first), serving)
    assert outcome.details["requests"]["unseen"]["origin"] == pytest.approx(0.2)
    assert any("20.0% of origin in 400 requests to version 3 was never seen" in what for what in warnings(outcome))


def test_only_requests_to_the_version_in_service_count(feed, served):
    first, serving = served
    log(feed, instances(feed, 400), version=2)
    log(feed, instances(feed, 400), version=None)
    log(feed, instances(feed, 299))
    assert feed.run(feed.snapshot(first), serving).details["requests"] is None
    log(feed, instances(feed, 1))
    assert feed.run(feed.snapshot(first), serving).details["requests"]["rows"] == 300


def test_instances_that_do_not_fit_are_counted_and_other_fields_ignored(feed, served):
    first, serving = served
    good = [{**row, "no_longer_declared": [1]} for row in instances(feed, 400)]
    bad = [{**row, "seats": "many"} for row in instances(feed, 7)]
    log(feed, [*bad[:3], *good, *bad[3:]])
    asked = feed.run(feed.snapshot(first), serving).details["requests"]
    assert (asked["rows"], asked["unfit"]) == (400, 7)


def test_a_log_of_misfits_alone_breaks_nothing(feed, served):
    first, serving = served
    log(feed, [{"seats": "many"}] * 400)
    outcome = feed.run(feed.snapshot(first), serving)
    asked = outcome.details["requests"]
    assert (outcome.error, asked["rows"], asked["unfit"], asked["drift"], asked["unseen"]) == (None, 0, 400, {}, {})
    assert "0 new rows are too few" in asked["drift_skipped"]["temp"]


def test_a_column_that_the_version_in_service_does_not_read_need_not_be_asked(feed):
    some = [feature for feature in FEATURES if feature["name"] != "seats"]
    first = feed.partition("p1", feed.rows(2000))
    serving = feed.serve(feed.snapshot(first), features=some)
    log(feed, [{name: value for name, value in row.items() if name != "seats"} for row in instances(feed, 400)])
    outcome = feed.run(feed.snapshot(first), serving)
    assert outcome.details["requests"]["drift"].keys() == {"temp", "origin", "cargo"}
    assert outcome.details["anomalies"] == []


def test_a_version_of_which_nothing_is_known_any_more_is_no_obstacle(feed, served):
    first, serving = served
    (serving / artifacts.FEATURES).write_text('{"features": [{"kind": "horoscope"}]}')
    log(feed, instances(feed, 400))
    outcome = feed.run(feed.snapshot(first), serving)
    assert (outcome.answer, outcome.details["requests"]["drift"]) == ("nothing", {})


def test_a_first_run_reads_no_log(feed):
    log(feed, instances(feed, 400))
    outcome = feed.run(feed.snapshot(feed.partition("p1", feed.rows(500))), feed.nothing())
    assert (outcome.answer, outcome.details["requests"]) == ("retrain", None)


def test_the_key_is_checked():
    assert Validate().min_requests == 300
    with pytest.raises(ValueError, match="min_requests"):
        Validate(min_requests=50)
