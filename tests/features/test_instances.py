"""Dense columns become instances and come back unchanged; instances that do not fit are told apart."""

import json

import numpy as np
from hypothesis import assume, given

from components.features.columns import MISSING_INTEGER
from components.features.instances import fitting, to_instances
from components.features.rows import from_rows
from tests.features.strategies import DATA, raw_batches

NAMES = ("number", "count", "flag", "word", "moment")
FIRST_S, LAST_S = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, which ISO 8601 text can hold."""


@given(raw_batches(NAMES))
def test_an_instance_is_the_same_row_again_after_its_way_through_json(raw):
    moments = raw["moment"]
    assume(((moments == MISSING_INTEGER) | ((moments >= FIRST_S) & (moments <= LAST_S))).all())
    text = json.dumps(to_instances(raw, DATA), allow_nan=False)
    again = from_rows(json.loads(text), DATA, NAMES)
    for name in NAMES:
        assert again[name].dtype == raw[name].dtype
        np.testing.assert_array_equal(again[name], raw[name])


def test_missing_fields_are_left_out():
    raw = {
        "number": np.array([np.nan, 0.1, np.inf], np.float32),
        "count": np.array([MISSING_INTEGER, 7, 0]),
        "flag": np.array([MISSING_INTEGER, 1, 0]),
        "word": np.array(["", "東京", "0"], object),
        "moment": np.array([MISSING_INTEGER, 1_357_017_330, 0]),
    }
    assert to_instances(raw, DATA) == [
        {},
        {"number": float(np.float32(0.1)), "count": 7, "flag": True, "word": "東京", "moment": "2013-01-01T05:15:30"},
        {"number": 1e39, "count": 0, "flag": False, "word": "0", "moment": "1970-01-01T00:00:00"},
    ]


def test_instances_that_fit_are_kept_in_order_and_the_others_explained():
    good = [{"count": number} for number in range(20)]
    bad = [{"count": "many"}, {"gate": 1}]
    kept, reasons = fitting([*good[:7], bad[0], *good[7:], bad[1]], DATA, NAMES)
    assert kept == good
    assert reasons[0].startswith("count is 'many'") and reasons[1].startswith("gate is not a field")
    assert fitting([], DATA, NAMES) == ([], [])
    assert fitting([{"label": "of no interest"}], DATA, NAMES) == ([{"label": "of no interest"}], [])
