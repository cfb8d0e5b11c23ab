"""Axes and charts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report.axes import Axis, log_axis, nice_axis, whole_ticks
from components.report.charts import Dots, Series, dot_plot, line_chart
from components.report.drift_charts import distribution, meter

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, max_size=6), st.integers(2, 8), st.booleans())
def test_an_axis_holds_its_values_on_few_round_ticks(values: list[float], count: int, from_zero: bool) -> None:
    axis = nice_axis(values, 10.0, 200.0, count, from_zero)
    assert 2 <= len(axis.ticks) <= count + 3
    assert all(low < high for low, high in zip(axis.ticks, axis.ticks[1:]))
    for value in values:
        assert 10.0 <= axis(value) <= 200.0
        clipped = min(max(value, -1e300), 1e300)
        slack = (axis.high - axis.low) * 1e-6
        assert axis.low - slack <= clipped <= axis.high + slack
    assert all(math.isfinite(axis(tick)) and len(axis.label(tick)) < 20 for tick in axis.ticks)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.699, 0.7053], ["0.698", "0.700", "0.702", "0.704", "0.706"]),
        ([107.0, 403.0], ["100", "200", "300", "400", "500"]),
        ([0.0, 91.0], ["0", "25", "50", "75", "100"]),
        ([5.0, 5.0], ["4.950", "4.975", "5.000", "5.025", "5.050"]),
        ([], ["0.00", "0.25", "0.50", "0.75", "1.00"]),
    ],
)
def test_tick_labels(values: list[float], labels: list[str]) -> None:
    axis = nice_axis(values, 0.0, 1.0, count=4)
    assert [axis.label(tick) for tick in axis.ticks] == labels


def test_epochs_are_whole_numbers() -> None:
    assert list(whole_ticks(1, 5, 0, 1).ticks) == [1, 2, 3, 4, 5]
    assert whole_ticks(3, 3, 0, 1)(3) == 0.5
    assert len(whole_ticks(1, 1000, 0, 1).ticks) <= 10


def test_an_axis_without_length_has_its_number_in_the_middle() -> None:
    assert Axis(-1e308, -1e308, 0.0, 100.0, (-1e308,))(-1e308) == 50.0


def test_a_logarithmic_axis_has_round_ticks_and_equal_ratios_are_equally_far() -> None:
    axis = log_axis([41.0, 431.0], 0.0, 100.0)
    assert [axis.label(tick) for tick in axis.ticks] == ["20", "50", "100", "200", "500"]
    assert axis(200) - axis(100) == pytest.approx(axis(100) - axis(50))
    assert (axis(0.0), axis(1e9)) == (0.0, 100.0)


@given(st.lists(st.floats(0, exclude_min=True, allow_infinity=False), min_size=1, max_size=6))
def test_a_logarithmic_axis_holds_its_values_on_few_ticks(values: list[float]) -> None:
    axis = log_axis(values, 10.0, 200.0)
    assert 2 <= len(axis.ticks) <= 16
    assert all(low < high for low, high in zip(axis.ticks, axis.ticks[1:]))
    assert axis.low <= max(min(values), 1e-200) * 1.001 and min(max(values), 1e200) <= axis.high * 1.001
    assert all(10.0 <= axis(value) <= 200.0 for value in values)
    assert all(len(axis.label(tick)) < 20 for tick in axis.ticks)


def test_every_mark_tells_its_figures() -> None:
    chart = line_chart("Loss by epoch", [Series("training", [(1, 0.5), (2, 0.4)], "now")], "epoch", "loss", 2)
    assert "<title>Loss by epoch</title>" in chart and 'role="img"' in chart
    assert "<title>training, epoch 2: 0.4000</title>" in chart
    assert "15.0 % before, 20.0 % now" in distribution("d", ["a", "b"], [], [0.15, 0.85], [0.2, 0.8], False)
    assert "UA: 0.7" in dot_plot("s", [Dots("UA", 0.7, None, "UA: 0.7")], [0.7], None)


def test_a_meter_shows_the_limit_and_turns_bad_over_it() -> None:
    assert 'class="bad-bar"' in meter(0.2, 0.1, 0.3)
    assert 'class="bad-bar"' not in meter(0.05, 0.1, 0.3)
    assert 'class="limit"' not in meter(0.05, None, 0.3)
