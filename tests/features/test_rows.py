"""Requests become dense columns, or are refused by field."""

import math
from datetime import datetime, timezone

import numpy as np
import pytest

from components.errors import UserError
from components.features.columns import MISSING_INTEGER
from components.features.rows import from_rows
from tests.features.strategies import DATA, DTYPES, TYPES

NAMES = ("number", "count", "flag", "word", "moment")


def test_values_of_every_type():
    row = {"number": 1, "count": -3, "flag": True, "word": "東京", "moment": "2013-01-01T05:15:30", "label": False}
    batch = from_rows([row], DATA, NAMES)
    assert {name: values.tolist() for name, values in batch.items()} == {
        "number": [1.0],
        "count": [-3],
        "flag": [1],
        "word": ["東京"],
        "moment": [1_357_017_330],
    }
    assert all(batch[name].dtype == DTYPES[TYPES[name]] for name in NAMES)


@pytest.mark.parametrize("row", [{}, dict.fromkeys(NAMES)])
def test_absent_and_none_are_missing(row):
    batch = from_rows([row], DATA, NAMES)
    assert math.isnan(batch["number"][0])
    assert batch["word"].tolist() == [""]
    assert [batch[name][0] for name in ("count", "flag", "moment")] == [MISSING_INTEGER] * 3


def test_no_rows_give_empty_columns():
    batch = from_rows([], DATA, NAMES)
    assert {name: (values.shape, values.dtype) for name, values in batch.items()} == {
        name: ((0,), np.dtype(DTYPES[TYPES[name]])) for name in NAMES
    }


def test_numbers_beyond_float32_are_infinite():
    batch = from_rows([{"number": 1e308}, {"number": -(10**400)}, {"number": math.nan}], DATA, ("number",))
    assert batch["number"][:2].tolist() == [math.inf, -math.inf]


def test_times_before_1970_are_floored_and_datetimes_are_taken():
    rows = [{"moment": "1969-12-31T23:59:59.500000"}, {"moment": datetime(1970, 1, 2)}, {"moment": "1970-01-01"}]
    assert from_rows(rows, DATA, ("moment",))["moment"].tolist() == [-1, 86_400, 0]


@pytest.mark.parametrize(
    "field, value, expected",
    [
        ("number", "abc", "number is 'abc' (str); it must be a number"),
        ("number", True, "number is True (bool); it must be a number"),
        ("number", [1], "number is [1] (list); it must be a number"),
        ("count", 1.5, "count is 1.5 (float); it must be a whole number"),
        ("count", False, "count is False (bool); it must be a whole number"),
        ("count", 2**63, "count is 9223372036854775808 (int); it must be a whole number of 64 bits"),
        ("count", -(2**63), "it must be a whole number of 64 bits"),
        ("count", 2**999, "count is an integer of 1000 bits; it must be a whole number"),
        ("flag", 1, "flag is 1 (int); it must be true or false"),
        ("flag", "true", "flag is 'true' (str); it must be true or false"),
        ("word", 3, "word is 3 (int); it must be a string"),
        ("word", "\ud800", "word is '\\ud800' (str); it must be a string of valid Unicode"),
        ("word", b"a", "word is b'a' (bytes); it must be a string"),
        ("moment", 5, "moment is 5 (int); it must be an ISO 8601 date and time without zone"),
        ("moment", "yesterday", "moment is 'yesterday' (str); it must be an ISO 8601"),
        ("moment", "2013-01-01T00:00:00+01:00", "it must be an ISO 8601 date and time without zone"),
        ("moment", datetime(2013, 1, 1, tzinfo=timezone.utc), "without zone"),
    ],
)
def test_wrong_types_are_refused_by_row_and_field(field, value, expected):
    with pytest.raises(UserError) as error:
        from_rows([{}, {field: value}], DATA, NAMES)
    assert str(error.value).startswith(f"row 1: {field} is ")
    assert expected in str(error.value)


def test_a_long_name_is_cut():
    with pytest.raises(UserError) as error:
        from_rows([{"x" * 8_000_000: 1}], DATA, NAMES)
    assert len(str(error.value)) < 300


def test_unknown_fields_are_refused():
    with pytest.raises(UserError, match=r"row 0: nmber is not a field; did you mean number\?"):
        from_rows([{"nmber": 1.0}], DATA, NAMES)
    with pytest.raises(UserError, match="the fields are number, count, flag, word, town, moment, label"):
        from_rows([{"xyz": 1.0}], DATA, NAMES)
