import pyarrow as pa
import pytest

from components.errors import UserError
from tests.ingest.place import Place
from tests.ingest.test_check import good_table


def test_no_rows(place: Place) -> None:
    place.put_table("a.parquet", pa.table(good_table(0)))
    with pytest.raises(UserError, match=r"a\.parquet has no rows"):
        place.ingest()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(place: Place, share: float) -> None:
    path = place.put_table("a.parquet", pa.table(good_table(1000)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"a\.parquet is cut off or no valid Parquet .*; deliver the file again"):
        place.ingest()


def test_corrupt_page(place: Place) -> None:
    path = place.put_table("a.parquet", pa.table(good_table(1000)), write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    content[100:104] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.parquet is cut off or no valid Parquet"):
        place.ingest()


def test_no_parquet_at_all(place: Place) -> None:
    place.put("a.parquet", "id,when\n" * 10)
    with pytest.raises(UserError, match=r"a\.parquet is cut off or no valid Parquet"):
        place.ingest()


def test_a_missing_column(place: Place) -> None:
    table = good_table(1)
    del table["price"]
    place.put_table("a.parquet", pa.table({**table, "prize": [1]}))
    with pytest.raises(UserError, match=r"a\.parquet lacks the declared columns price \(there is 'prize'\)"):
        place.ingest()


def test_duplicate_columns(place: Place) -> None:
    table = pa.table(good_table(1))
    place.put_table("a.parquet", table.append_column("size", table["size"]))
    with pytest.raises(UserError, match=r"a\.parquet has the columns size more than once"):
        place.ingest()


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("size", pa.array(["5"]), "column size is declared integer but has type string; it must be an int"),
        ("price", pa.array([[1.0]]), "column price is declared float but has type list"),
        ("id", pa.array([5]), "column id is declared string but has type int64; it must be text"),
        ("on", pa.array(["true"]), "column on is declared boolean but has type string; it must be boolean, or"),
        ("when", pa.array([5]), "column when is declared timestamp but has type int64; it must be a timestamp, a date"),
    ],
)
def test_an_incompatible_type(place: Place, column: str, values: pa.Array, message: str) -> None:
    place.put_table("a.parquet", pa.table({**good_table(1), column: values}))
    with pytest.raises(UserError, match=message):
        place.ingest()


def test_many_row_groups_and_ignored_columns(place: Place) -> None:
    table = pa.table({**good_table(1000), "size": pa.array(range(1000)), "nested": [[1]] * 1000})
    place.put_table("a.parquet", table, row_group_size=7)
    assert place.rows(place.ingest())["size"].to_pylist() == list(range(1000))
    assert place.details()["ignored_columns"] == ["nested"]
