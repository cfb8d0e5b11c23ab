"""The parts of a time, beside Python's datetime."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.features.columns import MISSING_INTEGER
from components.features.datetime import SIZES, circle, index
from components.features.declaration import Nothing
from tests.features.strategies import feature

ERA_S = 146_097 * 86_400
"""400 years, after which the calendar repeats."""


def expected(part: str, time: datetime) -> int:
    return {
        "minute_of_day": time.hour * 60 + time.minute,
        "hour": time.hour,
        "weekday": time.weekday(),
        "month": time.month - 1,
        "day_of_month": time.day - 1,
        "day_of_year": time.timetuple().tm_yday - 1,
    }[part]


def seconds_of(time: datetime) -> int:
    since = time - datetime(1970, 1, 1)
    return since.days * 86_400 + since.seconds


@pytest.mark.parametrize("part", SIZES)
@given(times=st.lists(st.datetimes(), min_size=1))
def test_parts_are_those_of_python(part, times):
    seconds = np.array([seconds_of(time) for time in times])
    assert index(part, seconds).tolist() == [expected(part, time) for time in times]


@pytest.mark.parametrize("part", SIZES)
def test_every_day_of_four_centuries(part):
    days = [datetime(1900, 1, 1) + timedelta(days=day) for day in range(146_097)]
    seconds = np.arange(len(days)) * 86_400 + seconds_of(days[0])
    assert index(part, seconds).tolist() == [expected(part, day) for day in days]


@pytest.mark.parametrize("part", SIZES)
@given(time=st.datetimes(), eras=st.integers(-700_000_000, 700_000_000))
def test_the_calendar_repeats_however_far_away(part, time, eras):
    seconds = np.array([seconds_of(time)])
    far = seconds + eras * ERA_S
    assert index(part, far).tolist() == index(part, seconds).tolist()


def test_ids_count_from_one_and_zero_is_missing():
    declared = feature(kind="datetime", column="moment", parts=["month", "weekday"], encode="category")
    _, ids = declared.plain(Nothing())({"moment": np.array([0, MISSING_INTEGER])})
    assert ids.tolist() == [[1, 4], [0, 0]]
    assert declared.id_sizes(Nothing()) == (13, 8)


def test_circles_close_and_the_missing_lies_in_the_centre():
    declared = feature(kind="datetime", column="moment", parts=["hour"])
    floats, _ = declared.plain(Nothing())({"moment": np.array([0, 6 * 3600, 23 * 3600, MISSING_INTEGER])})
    assert floats[0].tolist() == [0.0, 1.0]
    assert floats[1].tolist() == pytest.approx([1.0, 0.0], abs=1e-7)
    assert floats[2].tolist() == pytest.approx([-0.2588190, 0.9659258])
    assert floats[3].tolist() == [0.0, 0.0]
    assert np.linalg.norm(circle("day_of_year")[1:], axis=1) == pytest.approx(1.0)
