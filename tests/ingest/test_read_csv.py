import pytest

from components.errors import UserError
from components.ingest import read_csv
from tests.ingest.place import NAMES, Place, csv_text

HEADER = ",".join(NAMES)
ROW = "a,2020-01-01,5,1.5,true,red,1"


def test_header_only(place: Place) -> None:
    place.put("a.csv", HEADER + "\n")
    with pytest.raises(UserError, match=r"a\.csv has no rows"):
        place.ingest()


def test_a_missing_column_is_named_with_the_one_that_may_be_meant(place: Place) -> None:
    place.put("a.csv", csv_text({}).replace("price", "Prices").replace("late", "delayed_by"))
    with pytest.raises(UserError, match=r"a\.csv lacks the declared columns price \(there is 'Prices'\), late; add"):
        place.ingest()


def test_a_duplicate_header(place: Place) -> None:
    place.put("a.csv", f"{HEADER},size\n{ROW},5\n")
    with pytest.raises(UserError, match=r"a\.csv has the columns size more than once; rename"):
        place.ingest()


@pytest.mark.parametrize("content", ["\n", ",,,\n1,2,3,4\n", "\0" * 200_000])
def test_no_header(place: Place, content: str) -> None:
    place.put("a.csv", content)
    with pytest.raises(UserError, match=r"a\.csv (does not start with a header|lacks the declared columns id, when)"):
        place.ingest()


def test_not_utf8_says_where(place: Place) -> None:
    start = f"{HEADER}\n{ROW}\n".encode()
    place.put("a.csv", start + b"gr\xf6n" + ROW.encode()[1:] + b"\n")
    with pytest.raises(UserError, match=rf"a\.csv is not UTF-8: line 3, byte {len(start) + 2} of the file; convert it"):
        place.ingest()


def test_utf16(place: Place) -> None:
    place.put("a.csv", csv_text({}).encode("utf-16"))
    with pytest.raises(UserError, match=r"a\.csv is not UTF-8: line 1, byte 0 of the file"):
        place.ingest()


def test_an_ignored_column_may_be_of_any_encoding(place: Place) -> None:
    place.put("a.csv", f"{HEADER},note\n{ROW},".encode() + b"\xf6\n")
    assert place.ingest().rows == 1


@pytest.mark.parametrize("text", [f"{HEADER}\n{ROW}\n", f"\ufeff{HEADER}\r\n{ROW}\r\n", f"{HEADER}\n\n{ROW}"])
def test_byte_order_mark_and_line_ends(place: Place, text: str) -> None:
    place.put("a.csv", text)
    assert place.ingest().rows == 1


def test_quotes_commas_and_line_breaks_within_cells(place: Place) -> None:
    cell = 'a,"b"\nc'
    place.put("a.csv", csv_text({"id": cell}, {}, {"size": "x"}))
    snapshot = place.ingest()
    assert place.rows(snapshot)["id"].to_pylist() == [cell, "a"]
    assert place.rejected(snapshot)[0]["line"] == 4


def test_a_quote_that_is_never_closed_swallows_nothing_silently(place: Place) -> None:
    place.put("a.csv", f'{HEADER}\n{ROW}\n"{ROW}\n{ROW}\n')
    with pytest.raises(UserError, match=r"a\.csv has 1 double quotes, so one of them opens a cell that nothing closes"):
        place.ingest()


def test_columns_in_another_order_and_more_of_them(place: Place) -> None:
    order = ("note", *reversed(NAMES))
    place.put("a.csv", csv_text({}, header=order))
    place.put("b.csv", csv_text({}))
    rows = place.rows(place.ingest())
    assert rows.slice(0, 1) == rows.slice(1, 1)


def test_rows_with_other_numbers_of_cells_keep_their_lines(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_csv, "BLOCK_BYTES", 300)
    lines = [ROW] * 60
    lines[10], lines[11], lines[40], lines[59] = "a,b", ROW + ",1", ROW.replace("5", "x"), "last"
    place.put("a.csv", "\n".join([HEADER, *lines]) + "\n")
    snapshot = place.ingest()
    found = [(row["line"], row["reason"].split()[0]) for row in place.rejected(snapshot)]
    assert sorted(found) == [(12, "the"), (13, "the"), (42, "size"), (61, "the")]
    assert '{"text": "a,b"}' in [row["row"] for row in place.rejected(snapshot)]
    assert snapshot.rows == 56


def test_a_row_longer_than_a_block(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_csv, "BLOCK_BYTES", 200)
    place.put("a.csv", csv_text({}, {"id": "x" * 1000}, {}))
    with pytest.raises(UserError, match=r"a\.csv has a row longer than 200 bytes"):
        place.ingest()
