"""What a numeric feature means, by hand-made examples (that both forms agree is in test_forms.py)."""

import numpy as np
import pytest

from components.features.columns import MISSING_INTEGER
from components.features.declaration import Bounds, Moments, Nothing
from tests.features.strategies import feature

MOMENTS = Moments(mean=4.0, std=2.0, min=0.0, max=8.0)


def computed(values, learned, **declared):
    values = np.array(values, np.float32) if not isinstance(values, np.ndarray) else values
    return feature(kind="numeric", column="number", **declared).plain(learned)({"number": values})


def test_standardize_gives_the_mean_to_a_missing_value():
    floats, _ = computed([6, np.nan, np.inf], MOMENTS)
    assert floats[:, 0].tolist() == [1.0, 0.0, 0.0]


def test_min_max_is_clamped_and_fills_with_the_scaled_mean():
    floats, _ = computed([2, -100, 100, np.nan], MOMENTS, scale="min_max")
    assert floats[:, 0].tolist() == [0.25, 0.0, 1.0, 0.5]


def test_none_keeps_the_value():
    floats, _ = computed([2.5, np.nan], Nothing(), scale="none")
    assert floats[:, 0].tolist() == [2.5, 0.0]


def test_missing_is_in_the_unit_of_the_column():
    floats, _ = computed([np.nan], Moments(0, 1, 0, 1), missing=np.e - 1, log=True)
    assert floats[0, 0] == pytest.approx(1.0)


def test_the_value_is_clipped_before_the_logarithm():
    floats, _ = computed([-100, 100], Nothing(), scale="none", clip=[-1, 1], log=True)
    assert floats[:, 0].tolist() == pytest.approx([-np.log(2), np.log(2)])


def test_the_indicator_tells_missing():
    floats, _ = computed([1, np.nan], MOMENTS, indicator=True)
    assert floats[:, 1].tolist() == [0.0, 1.0]


def test_a_constant_column_is_not_scaled():
    floats, _ = computed([4, 5], Moments(4.0, 0.0, 4.0, 4.0))
    assert floats[:, 0].tolist() == [0.0, 1.0]
    floats, _ = computed([4, 5], Moments(4.0, 1e-15, 4.0, 4.0))
    assert floats[:, 0].tolist() == [0.0, 1.0]


def test_an_all_missing_column_gives_zeros():
    floats, _ = computed([np.nan, np.nan], Moments(0, 0, 0, 0))
    assert floats[:, 0].tolist() == [0.0, 0.0]


def test_a_bucket_holds_its_lower_bound():
    _, ids = computed([-1, 0, 0.5, 1, 9, np.nan], Bounds((0.0, 1.0)), scale="buckets", buckets=3)
    assert ids[:, 0].tolist() == [1, 2, 2, 3, 3, 0]
    assert feature(kind="numeric", column="number", scale="buckets", buckets=3).id_sizes(Bounds((0.0, 1.0))) == (4,)


def test_huge_integers_and_missing_ones():
    floats, _ = computed(np.array([2**63 - 1, MISSING_INTEGER]), Nothing(), scale="none", indicator=True)
    assert floats.tolist() == [[2.0**63, 0.0], [0.0, 1.0]]
