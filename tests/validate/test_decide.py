from dataclasses import replace

import pytest

from components.validate.decide import Situation, decide, with_drift

USUAL = Situation(
    forced=False,
    version=3,
    same_digest=True,
    snapshot="3f2a77aa9bc",
    same_snapshot=True,
    new_partitions=0,
    new_rows=0,
    min_new_rows=1,
)
NEW = {"same_snapshot": False, "new_partitions": 2, "new_rows": 1234}


@pytest.mark.parametrize(
    ("changed", "answer", "reason"),
    [
        ({}, "nothing", "snapshot 3f2a77aa is the one that version 3 was trained on"),
        ({"same_snapshot": False}, "nothing", "snapshot 3f2a77aa holds only rows that version 3 was trained on"),
        (NEW, "retrain", "new data: 1,234 new labelled rows of 2 partitions since version 3"),
        ({**NEW, "new_partitions": 1, "new_rows": 1}, "retrain", "new data: 1 new labelled row of 1 partition since"),
        (
            {**NEW, "min_new_rows": 2000},
            "nothing",
            "too little new data: 1,234 new labelled rows of 2 partitions since",
        ),
        ({**NEW, "new_rows": 0}, "nothing", "fewer than min_new_rows 1"),
        ({"same_digest": False}, "retrain", "the configuration or the code of training has changed since version 3"),
        ({**NEW, "same_digest": False}, "retrain", "the configuration or the code of training has changed"),
        ({"version": None, "same_digest": False, **NEW}, "retrain", "no model is in service yet"),
        (
            {"withdrawn": 4},
            "nothing",
            "version 4, which was made from this very snapshot and configuration, was withdrawn",
        ),
        (
            {**NEW, "withdrawn": 4, "same_digest": False},
            "nothing",
            "version 3 stays in service until something changes",
        ),
        ({"forced": True, "withdrawn": 4}, "retrain", "forced"),
        ({"forced": True}, "retrain", "forced by the run's parameter force"),
        ({"forced": True, "version": None}, "retrain", "forced"),
    ],
)
def test_the_first_rule_that_holds_decides(changed, answer, reason):
    decision = decide(replace(USUAL, **changed))
    assert decision.answer == answer
    assert reason in decision.reason


def test_drift_without_a_new_labelled_row_is_told_but_makes_the_same_model_again():
    none = decide(replace(USUAL, **{**NEW, "new_rows": 0}))
    assert with_drift(none, {"temp": (0.5, 0.1)}).answer == "nothing"


def test_drift_in_too_few_new_rows_is_reason_enough():
    few = decide(replace(USUAL, **{**NEW, "min_new_rows": 2000}))
    assert with_drift(few, {}).answer == "nothing"
    drifted = with_drift(few, {"temp": (0.3, 0.1)})
    assert drifted.answer == "retrain"
    assert drifted.reason.startswith("drift over the limit in temp (0.30 > 0.1); otherwise too little new data")


def test_drift_is_told_beside_new_data():
    decision = with_drift(decide(replace(USUAL, **NEW)), {"temp": (0.314, 0.1), "dewp": (0.2, 0.15)})
    assert decision.reason == (
        "new data: 1,234 new labelled rows of 2 partitions since version 3; "
        "drift over the limit in temp (0.31 > 0.1), dewp (0.20 > 0.15)"
    )
    assert decision.answer == "retrain"
    assert with_drift(decision, {}) == decision
