"""How numbers are written."""

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report import fields
from components.report import format as fmt
from components.report.markup import Html, element, join

CASES = [
    (fmt.count(336_776), "336,776"),
    (fmt.counted(1, "row"), "1 row"),
    (fmt.size(0), "0 B"),
    (fmt.size(1023), "1,023 B"),
    (fmt.size(109_568), "107 KiB"),
    (fmt.size(2_310_144), "2.20 MiB"),
    (fmt.latency(3.4), "3.40 µs"),
    (fmt.latency(1210), "1.21 ms"),
    (fmt.duration(0.048), "48 ms"),
    (fmt.duration(59.96), "1 min 00 s"),
    (fmt.duration(3900), "1 h 05 min"),
    (fmt.share(0.237), "23.7 %"),
    (fmt.share(0.00001), "< 0.1 %"),
    (fmt.share(0.0), "0.0 %"),
    (fmt.quality(0.70531), "0.7053"),
    (fmt.quality(2453.218), "2,453.2"),
    (fmt.difference(-0.0147), "-0.0147"),
    (fmt.difference(0.006), "+0.0060"),
    (fmt.lost(0.0022, True), "0.0022"),
    (fmt.lost(-0.00001, True), "0.0000"),
    (fmt.lost(0.0021, False), "0.21 %"),
    (fmt.lost(-1e-9, False), "0.00 %"),
    (fmt.price(0.000346667), "0.000347"),
    (fmt.price(0.001), "0.001"),
    (fmt.price(12.3), "12.3"),
    (fmt.price(0.0), "0.00"),
    (fmt.short_count(336_776), "336,776"),
    (fmt.short_count(1_453_480), "1.45 M"),
    (fmt.shortened("low_rank+pruned+int8", 11), "low_r…+int8"),
    (fmt.number(1956.0), "1956"),
    (fmt.number(1e308), "1e+308"),
    (fmt.moment(1_379_376_000), "2013-09-17"),
    (fmt.moment("2013-09-17T06:30:00Z"), "2013-09-17 06:30 UTC"),
    (fmt.moment("soon"), "soon"),
    (fmt.moment(1e300), "1e+300"),
    (fmt.digest("sha256:0123456789abcdef"), "0123456789ab"),
    (fmt.metric("log_loss"), "log loss"),
    (fmt.clipped("abcdef", 4), "abc…"),
]


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_numbers(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(
    "function",
    [fmt.count, fmt.size, fmt.latency, fmt.duration, fmt.share, fmt.quality, fmt.difference, fmt.number, fmt.price],
)
def test_what_is_missing_is_a_dash(function: object) -> None:
    assert callable(function) and function(None) == fmt.NONE


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_can_be_written_shortly(value: float) -> None:
    for function in (fmt.count, fmt.size, fmt.latency, fmt.share, fmt.quality, fmt.difference, fmt.number, fmt.price):
        assert 0 < len(function(value)) < 30
    assert all(0 < len(fmt.lost(value, absolute)) < 30 for absolute in (True, False))


@given(st.integers(0, 4_000_000_000))
def test_moments(seconds: int) -> None:
    time = datetime.fromtimestamp(seconds, timezone.utc)
    assert fmt.moment(seconds) == fmt.moment(time.isoformat())


@given(st.text(alphabet=st.characters(codec=None)))
def test_text_can_always_be_shown(text: str) -> None:
    shown = element("p", text, title=text)
    assert shown.encode("utf-8")
    assert "<" not in shown.removeprefix("<p").removesuffix("</p>")
    assert "\x1b" not in fmt.plain(text)


def test_only_html_is_markup() -> None:
    assert join([Html("<b>"), "<b>"]) == "<b>&lt;b&gt;"
    assert element("rect", x=1.50, class_="a", y=None) == '<rect x="1.5" class="a"></rect>'


def test_fields_take_whatever_is_there() -> None:
    assert fields.number({"a": True}, "a") is None
    assert fields.number({"a": 10**400}, "a") is None
    assert fields.number(None, "a") is None
    assert fields.text({"a": ["x"]}, "a") == ""
    assert fields.text({"a": "x\n" * 2000}, "a").endswith("…")
    assert fields.rows({"a": [1, {"b": 2}]}, "a") == [{"b": 2}]
    assert fields.counts({"a": {"b": 1, "c": "d"}}, "a") == {"b": 1}
