import shutil
import time

import numpy as np
import pytest

from components.errors import UserError
from components.validate.config import Validate


@pytest.fixture
def served(feed):
    """A first partition, and version 3 trained on it."""
    first = feed.partition("p1", feed.rows(2000))
    return first, feed.serve(feed.snapshot(first))


def test_a_first_run_retrains_and_describes_all_rows(feed):
    outcome = feed.run(feed.snapshot(feed.partition("p1", feed.rows(500))), feed.nothing())
    assert outcome.answer == "retrain"
    assert outcome.details["reason"] == "no model is in service yet"
    assert outcome.details["new_rows"] == 500
    assert (outcome.details["drift"], outcome.error) == ({}, None)
    assert outcome.statistics["rows"] == 500
    assert outcome.details["columns"]["origin"]["distinct"] == 4
    assert outcome.details["columns"]["temp"].keys() == {"type", "missing", "min", "max", "mean"}


def test_nothing_new_is_said_fast_and_without_reading_data(feed, served):
    first, serving = served
    snapshot = feed.snapshot(first)
    shutil.rmtree(feed.root / "partitions")
    started = time.perf_counter()
    outcome = feed.run(snapshot, serving)
    assert time.perf_counter() - started < 1
    assert outcome.answer == "nothing"
    assert outcome.details["reason"] == "snapshot 3f2a77aa is the one that version 3 was trained on"
    assert outcome.statistics["rows"] == 2000
    assert outcome.details["columns"]["temp"]["type"] == "float"


def test_an_older_snapshot_is_nothing_new(feed):
    first, second = feed.partition("p1", feed.rows(300)), feed.partition("p2", feed.rows(300, seed=1))
    serving = feed.serve(feed.snapshot(first, second))
    outcome = feed.run(feed.snapshot(first), serving)
    assert outcome.answer == "nothing"
    assert "holds only rows that version 3 was trained on" in outcome.details["reason"]


def test_new_data_without_drift(feed, served):
    first, serving = served
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(700, seed=1))), serving)
    assert outcome.details["reason"] == "new data: 700 new labelled rows of 1 partition since version 3"
    assert outcome.details["drift"].keys() == {"temp", "seats", "origin", "cargo", "late"}
    assert all(found["distance"] < found["limit"] == 0.1 for found in outcome.details["drift"].values())
    assert outcome.statistics["rows"] == 2700


def test_new_data_with_drift_names_the_columns(feed, served):
    first, serving = served
    warm = feed.rows(700, seed=1, temp=np.random.default_rng(0).normal(25, 5, 700))
    snapshot = feed.snapshot(first, feed.partition("p2", warm))
    outcome = feed.run(snapshot, serving)
    assert "new data: 700 new labelled rows" in outcome.details["reason"]
    assert "drift over the limit in temp (0." in outcome.details["reason"]
    outcome = feed.run(snapshot, serving, drift_limits={"temp": 1.0})
    assert "drift over" not in outcome.details["reason"]
    assert outcome.details["drift"]["temp"]["limit"] == 1.0


def test_the_labels_drift_is_measured_among_known_labels(feed, served):
    first, serving = served
    labels = np.where(np.arange(700) < 200, 1.0, np.nan)
    labels[:100] = 0
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(700, seed=1, late=labels))), serving)
    assert outcome.details["new_rows"] == 200
    assert outcome.details["drift"]["late"]["current"] == [0.5, 0.5, 0]
    assert outcome.details["drift"]["late"]["baseline_missing"] == 0


def test_too_few_new_rows_are_nothing(feed, served):
    first, serving = served
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(40, seed=1))), serving, min_new_rows=100)
    assert outcome.answer == "nothing"
    assert (
        "40 new labelled rows of 1 partition since version 3, fewer than min_new_rows 100" in outcome.details["reason"]
    )
    assert outcome.statistics["rows"] == 2000


def test_too_few_new_rows_that_drifted_are_retrained_on(feed, served):
    first, serving = served
    hot = feed.rows(500, seed=1, temp=np.random.default_rng(2).normal(35, 5, 500))
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", hot)), serving, min_new_rows=1000)
    assert outcome.answer == "retrain"
    assert outcome.details["reason"].startswith("drift over the limit in temp")


def test_few_new_rows_are_not_measured_for_drift_and_the_record_says_so(feed, served):
    first, serving = served
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(40, seed=1))), serving)
    assert outcome.answer == "retrain"
    assert outcome.details["drift"] == {}
    assert "40 new rows are too few" in outcome.details["drift_skipped"]["temp"]


@pytest.mark.parametrize(("digest", "force", "words"), [("other", False, "has changed"), ("same", True, "forced")])
def test_the_same_data_is_retrained_on_a_changed_digest_or_by_force(feed, served, digest, force, words):
    first, serving = served
    outcome = feed.run(feed.snapshot(first), serving, digest=digest, force=force)
    assert outcome.answer == "retrain"
    assert words in outcome.details["reason"]
    assert outcome.details["drift"] == {}


def test_a_version_without_statistics_is_no_obstacle(feed, served):
    first, serving = served
    (serving / "statistics.json").unlink()
    assert feed.run(feed.snapshot(first), serving).answer == "nothing"
    assert feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(300))), serving).answer == "retrain"


def test_a_new_column_is_not_measured_for_drift(feed):
    first = feed.partition("p1", feed.rows(500))
    serving = feed.serve(feed.snapshot(first))
    statistics = serving / "statistics.json"
    statistics.write_text(statistics.read_text().replace('"temp"', '"other"'))
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(500))), serving)
    assert "temp" in outcome.details["drift_skipped"]


@pytest.mark.parametrize(
    ("columns", "severity", "words"),
    [
        ({"late": [0] * 500}, "error", "the label late is 0 in all 500 labelled rows"),
        ({"late": [None] * 500}, "error", "none of the 500 rows has a value in the label late"),
        ({"late": [0] * 500}, "warning", "no row has the class 1 in the label late"),
        ({"temp": [None] * 500}, "error", "temp is missing in all 500 rows"),
        ({"remark": [None] * 500}, "warning", "remark is missing in all 500 rows"),
        (
            {"temp": [1.0, None, None, None, 2.0] * 100},
            "warning",
            "temp is missing in 60.0% of the 500 rows, more than",
        ),
        ({"temp": [3.0] * 500}, "warning", "temp is 3 in every row that has a value"),
        ({"origin": ["JFK"] * 500}, "warning", "origin is JFK in every row that has a value"),
    ],
)
def test_anomalies_of_a_first_run(feed, columns, severity, words):
    outcome = feed.run(feed.snapshot(feed.partition("p1", feed.rows(500, **columns))), feed.nothing())
    assert outcome.has(severity, words), outcome.details["anomalies"]
    if severity == "error":
        assert outcome.error.startswith("UserError")
        assert words in outcome.error


def test_what_was_mostly_missing_from_the_start_stops_no_later_run(feed):
    rare = {"temp": [1.0, None, None, None, 2.0] * 100}
    first = feed.partition("p1", feed.rows(500, **rare))
    serving = feed.serve(feed.snapshot(first))
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(500, seed=1, **rare))), serving)
    assert outcome.answer == "retrain"
    assert outcome.has("warning", "temp is missing in 60.0% of the 1000 rows")


def test_a_column_may_have_a_limit_of_its_own(feed, served):
    first, serving = served
    rows = feed.rows(500, seed=1, temp=[10.0, None, None, None, 12.0] * 100)
    snapshot = feed.snapshot(first, feed.partition("p2", rows))
    assert feed.run(snapshot, serving, missing_limits={"temp": 0.6}).answer == "retrain"
    assert "temp is missing in 60.0% of the 500 new rows" in feed.run(snapshot, serving).error
    with pytest.raises(UserError, match="missing_limits names late; features read time, temp, seats, origin, cargo"):
        feed.config(missing_limits={"late": 0.2})


def test_a_column_that_nothing_reads_may_be_constant_or_missing(feed):
    rows = feed.rows(500, remark=[None] * 400 + ["x"] * 100)
    assert feed.run(feed.snapshot(feed.partition("p1", rows)), feed.nothing()).details["anomalies"] == []


def test_warnings_stop_only_where_asked(feed):
    snapshot = feed.snapshot(feed.partition("p1", feed.rows(500, temp=[3.0] * 500)))
    assert feed.run(snapshot, feed.nothing()).answer == "retrain"
    stopped = feed.run(snapshot, feed.nothing(), stop_on="warning")
    assert stopped.error.startswith("UserError: temp is 3 in every row")
    assert stopped.details["anomalies"]


def test_a_constant_number_to_predict_is_an_error(feed):
    data = feed.data(task="regression")
    snapshot = feed.snapshot(feed.partition("p1", feed.rows(500, late=[7] * 500), data))
    outcome = feed.run(snapshot, feed.nothing(), data=data)
    assert "the label late is 7 in all 500 labelled rows" in outcome.error


def test_a_feed_that_just_broke_is_found_among_many_good_rows(feed, served):
    first, serving = served
    broken = feed.rows(300, seed=1, temp=[None] * 300)
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", broken)), serving)
    assert "temp is missing in 100.0% of the 300 new rows, more than its limit of 50.0%" in outcome.error
    assert outcome.answer is None


def test_unseen_texts_over_the_limit_are_an_error(feed, served):
    first, serving = served
    moved = feed.rows(300, seed=1, origin=["XXX"] * 60 + ["JFK"] * 240)
    snapshot = feed.snapshot(first, feed.partition("p2", moved))
    outcome = feed.run(snapshot, serving)
    assert "20.0% of the 300 new values of origin were never seen before (such as XXX)" in outcome.error
    assert feed.run(snapshot, serving, max_unseen=0.3).answer == "retrain"


def test_rare_known_texts_are_not_unseen(feed):
    many = [f"A{number}" for number in range(1000)]
    first = feed.partition("p1", feed.rows(1000, origin=many))
    serving = feed.serve(feed.snapshot(first))
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(1000, seed=1, origin=many))), serving)
    assert outcome.answer == "retrain"


def test_new_warnings_against_the_version_in_service(feed, served):
    first, serving = served
    odd = feed.rows(300, seed=1, late=[1] * 300, seats=[9000] + [100] * 299)
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", odd)), serving)
    assert outcome.has("warning", "the label late is 1 in all 300 new labelled rows")
    assert outcome.has("warning", "seats has 9000, far outside 20 to 399")
    assert outcome.answer == "retrain"


def test_a_new_year_is_not_unseen(feed):
    """Whole numbers such as years move on; only texts can be unseen."""
    first = feed.partition("p1", feed.rows(500, seats=[2013] * 250 + [2014] * 250))
    serving = feed.serve(feed.snapshot(first))
    outcome = feed.run(feed.snapshot(first, feed.partition("p2", feed.rows(500, seats=[2015] * 500))), serving)
    assert outcome.answer == "retrain"
    assert "drift over the limit in seats" in outcome.details["reason"]


def test_limits_are_checked(feed):
    assert Validate().max_drift == 0.1
    with pytest.raises(UserError, match=r"validate\.drift_limits names tmp; drift is measured in temp, seats"):
        feed.config(drift_limits={"tmp": 0.2})
    with pytest.raises(UserError, match="drift_limits names remark"):
        feed.config(drift_limits={"remark": 0.2})
    with pytest.raises(UserError, match=r"max_drift is 2"):
        feed.config(max_drift=2)
    with pytest.raises(UserError, match="did you mean max_missing"):
        feed.config(max_mising=0.2)
