"""Which rows are rejected, and why; the same in every format."""

import math
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import UserError
from components.features.arrow import arrow_schema
from tests.ingest.place import COLUMNS, NAMES, Place, csv_text, make_data
from tests.ingest.tfrecords import example, tfrecord

BAD_CELLS = [
    ("id", "", "id is missing"),
    ("when", "", "when is missing"),
    ("when", "yesterday", "when is not an ISO 8601 time"),
    ("when", "2020-02-30", "when is not an ISO 8601 time"),
    ("when", "1577836800", "when is not an ISO 8601 time"),
    ("size", "five", "size is not an integer of 64 bits"),
    ("size", "5.5", "size is not an integer of 64 bits"),
    ("size", " 5", "size is not an integer of 64 bits"),
    ("size", "9223372036854775808", "size is not an integer of 64 bits"),
    ("size", "-9223372036854775808", "size is -9223372036854775808, which stands for missing"),
    ("size", "-1001", "size is below -1000"),
    ("size", "1001", "size is above 1000"),
    ("price", "1,5", "price is not a number"),
    ("price", "NA", "price is not a number"),
    ("price", "1e308", "price is beyond the range of float32"),
    ("price", "-1e39", "price is beyond the range of float32"),
    ("price", "inf", "price is beyond the range of float32"),
    ("price", "-Infinity", "price is beyond the range of float32"),
    ("on", "yes", "on is not true, false, 1 or 0"),
    ("on", "2", "on is not true, false, 1 or 0"),
    ("colour", "blue", "colour is none of the values allowed"),
    ("late", "2", "late is none of the classes"),
    ("late", "maybe", "late is not an integer of 64 bits"),
]
GOOD_CELLS = [
    ("when", "2020-01-01", datetime(2020, 1, 1)),
    ("when", "2020-01-01 08:30", datetime(2020, 1, 1, 8, 30)),
    ("when", "2020-01-01T08:30:00Z", datetime(2020, 1, 1, 8, 30)),
    ("when", "2020-01-01T08:30:00+02:00", datetime(2020, 1, 1, 6, 30)),
    ("when", "2020-01-01T08:30:00.123456789", datetime(2020, 1, 1, 8, 30, 0, 123456)),
    ("size", "-0", 0),
    ("size", "5.0", 5),
    ("size", "", None),
    ("price", "3.4028234e38", 3.4028234e38),
    ("price", "-0.0", -0.0),
    ("price", "1e-320", 1e-320),
    ("price", "nan", None),
    ("price", "", None),
    ("on", "1", True),
    ("on", "False", False),
    ("on", "", None),
    ("colour", "", None),
    ("late", "", None),
    ("late", "1.0", 1),
]


@pytest.mark.parametrize(("column", "cell", "reason"), BAD_CELLS)
def test_a_bad_cell_rejects_its_row_and_no_other(place: Place, column: str, cell: str, reason: str) -> None:
    place.put("a.csv", csv_text({}, {column: cell}, {"id": "last"}))
    snapshot = place.ingest()
    (rejected,) = place.rejected(snapshot)
    assert rejected["line"] == 3 and rejected["reason"] == reason
    shown = "null" if not cell else f'"{cell}"'
    assert f'"{column}": {shown}' in rejected["row"]
    assert place.rows(snapshot)["id"].to_pylist() == ["a", "last"]
    assert snapshot.partitions[0].rejected == {reason: 1}


@pytest.mark.parametrize(("column", "cell", "value"), GOOD_CELLS)
def test_a_good_cell(place: Place, column: str, cell: str, value: Any) -> None:
    # The odd cell stands among bad ones too, because these are read another way.
    for rows in ([{column: cell}], [{"size": "x", "price": "x", "on": "x"}, {column: cell}]):
        place.put("a.csv", csv_text(*rows))
        (found,) = place.rows(place.ingest())[column].to_pylist()
        assert found == value and type(found) is type(value)
        if isinstance(value, float):
            assert math.copysign(1, found) == math.copysign(1, value)


def test_the_first_reason_counts(place: Place) -> None:
    place.put("a.csv", csv_text({}, {"late": "7", "size": "x", "price": "x"}))
    assert place.ingest().partitions[0].rejected == {"size is not an integer of 64 bits": 1}


@pytest.mark.parametrize(
    ("label", "changes", "good", "bad"),
    [
        ("string", {"task": "multiclass", "classes": ("a", "b", "c")}, "b", "d"),
        ("boolean", {}, "true", "2"),
        ("float", {"task": "regression"}, "-7.5", "1e39"),
    ],
)
def test_labels_of_other_tasks(place: Place, label: str, changes: dict, good: str, bad: str) -> None:
    place.put("a.csv", csv_text({"late": good}, {"late": bad}, {"late": ""}))
    snapshot = place.ingest(data=make_data(columns={**COLUMNS, "late": label}, **changes))
    assert [row["line"] for row in place.rejected(snapshot)] == [3]
    assert snapshot.partitions[0].unlabelled == 1


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("size", pa.array([1, None], pa.int8()), [1, None]),
        ("size", pa.array([1.0, math.nan]), [1, None]),
        ("size", pa.array([1, None]).dictionary_encode(), [1, None]),
        ("size", pa.array([Decimal("1"), None], pa.decimal128(5, 0)), [1, None]),
        ("size", pa.nulls(2), [None, None]),
        ("price", pa.array([2**60 + 1, None]), [float(2**60), None]),
        ("price", pa.array([1.5, math.nan], pa.float32()), [1.5, None]),
        ("price", pa.array([1.5, math.nan], pa.float16()), [1.5, None]),
        ("id", pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        ("id", pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        ("id", pa.array([b"x", "ü".encode()]), ["x", "ü"]),
        ("colour", pa.array(["", "red"]), [None, "red"]),
        ("on", pa.array([1, 0], pa.uint8()), [True, False]),
        ("when", pa.array([date(2020, 1, 1)] * 2), [datetime(2020, 1, 1)] * 2),
        ("when", pa.array([datetime(2020, 1, 1)] * 2, pa.timestamp("s")), [datetime(2020, 1, 1)] * 2),
        ("when", pa.array(["2020-01-01", "2020-01-01T01:00Z"]), [datetime(2020, 1, 1), datetime(2020, 1, 1, 1)]),
        (
            "when",
            pa.array([datetime(2020, 1, 1, tzinfo=timezone.utc)] * 2, pa.timestamp("us", "America/New_York")),
            [datetime(2020, 1, 1)] * 2,
        ),
        ("when", pa.array([1577836800000000001] * 2, pa.timestamp("ns")), [datetime(2020, 1, 1)] * 2),
    ],
)
def test_other_types_in_parquet_that_can_be_read(place: Place, column: str, values: pa.Array, expected: list) -> None:
    table = pa.table({**good_table(2), column: values})
    place.put_table("a.parquet", table)
    snapshot = place.ingest()
    assert place.rows(snapshot)[column].to_pylist() == expected
    assert not snapshot.partitions[0].rejected


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("size", pa.array([1.0, 1.5]), "size is not an integer of 64 bits"),
        ("size", pa.array([1, 2**63], pa.uint64()), "size is not an integer of 64 bits"),
        ("id", pa.array([b"x", b"\xff"]), "id is not UTF-8 text"),
        ("on", pa.array([1, 2]), "on is not true, false, 1 or 0"),
        ("price", pa.array([1.0, math.inf]), "price is beyond the range of float32"),
        ("when", pa.array([datetime(2020, 1, 1), None]), "when is missing"),
        ("when", pa.array([0, 2**62], pa.timestamp("ms")), "when is not an ISO 8601 time"),
        ("when", pa.array([0, 2**60], pa.timestamp("us")), "when is before year 1 or after year 9999"),
    ],
)
def test_bad_cells_in_parquet(place: Place, column: str, values: pa.Array, reason: str) -> None:
    place.put_table("a.parquet", pa.table({**good_table(2), column: values}))
    (rejected,) = place.rejected(place.ingest())
    assert (rejected["line"], rejected["reason"]) == (2, reason)


def good_table(rows: int) -> dict[str, pa.Array]:
    return {
        "id": pa.array(["a"] * rows),
        "when": pa.array([datetime(2020, 1, 1)] * rows),
        "size": pa.array([1] * rows),
        "price": pa.array([1.0] * rows),
        "on": pa.array([True] * rows),
        "colour": pa.array(["red"] * rows),
        "late": pa.array([1] * rows),
    }


INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-1002, 1002)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=4)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | TEXTS,
            "when": st.none() | st.datetimes(),
            "size": st.none() | INTEGERS,
            "price": st.none() | st.floats() | st.floats(width=32),
            "on": st.none() | st.booleans(),
            "colour": st.none() | TEXTS | st.sampled_from(["red", "green"]),
            "late": st.none() | st.integers(-1, 2),
        }
    ),
    min_size=1,
    max_size=40,
)
TYPES = arrow_schema(make_data())


def cell_text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def outcome(name: str, content: bytes | pa.Table) -> tuple[list, list] | None:
    """Good rows (as text: -0.0 is not 0.0) and bad ones; None where no row is good."""
    with TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.put_table(name, content) if isinstance(content, pa.Table) else place.put(name, content)
        try:
            snapshot = place.ingest()
        except UserError as error:
            assert "are bad, more than" in str(error)
            return None
        rows = [str(row) for row in place.rows(snapshot).to_pylist()]
        return rows, [row["reason"] for row in place.rejected(snapshot)]


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_csv_and_parquet_give_the_same_rows(rows: list[dict[str, Any]]) -> None:
    text = csv_text(*({name: cell_text(value) for name, value in row.items()} for row in rows))
    table = pa.Table.from_pylist(rows, TYPES)
    assert outcome("a.csv", text.encode()) == outcome("a.parquet", table)


@settings(max_examples=15, deadline=None)
@given(ROWS)
def test_tfrecords_and_parquet_give_the_same_rows(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, TYPES)
    floats = table["price"].cast(pa.float32(), safe=False)
    table = table.set_column(NAMES.index("price"), "price", floats)
    examples = [example(**{**row, "price": price}) for row, price in zip(rows, floats.to_pylist())]
    full = example(**{name: values[0].as_py() for name, values in good_table(1).items()})
    table = pa.concat_tables([pa.table(good_table(1)), table.cast(TYPES)])
    assert outcome("a.tfrecord", tfrecord(full, *examples)) == outcome("a.parquet", table)
