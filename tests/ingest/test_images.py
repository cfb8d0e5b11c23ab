"""Columns of images: what is kept, and what is rejected with which reason."""

import base64

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import UserError
from components.features import png
from components.features.columns import Data
from components.ingest.partition import ROW_GROUP_ROWS
from tests.ingest.place import Place
from tests.ingest.tfrecords import example, tfrecord

DATA = Data(
    columns={"id": {"type": "string"}, "photo": {"type": "image"}, "late": {"type": "integer"}},
    label="late",
    task="binary",
    key=("id",),
)
REQUIRED = DATA.model_copy(
    update={"columns": {**DATA.columns, "photo": DATA.columns["photo"].model_copy(update={"required": True})}}
)
GOOD = png.encode(np.arange(12, dtype=np.uint8).reshape(3, 4, 1))
DEEP = GOOD[:8] + png.chunk(b"IHDR", GOOD[16:24] + bytes([16, *GOOD[25:29]])) + GOOD[33:]
PHOTOS = [GOOD, None, b"hello", GOOD[:-20], DEEP, b""]
REASONS = {
    3: "photo is no PNG image",
    4: "photo is a PNG image that is cut off",
    5: "photo has 16 bits a sample, of which at most 8 are read",
}
"""Row from 1 → why it is rejected."""


def put(place: Place, source: str) -> None:
    """PHOTOS in a file of a kind."""
    texts = [None if photo is None else base64.b64encode(photo).decode() for photo in PHOTOS]
    ids, late = [str(number) for number in range(6)], [1] * 6
    if source == "csv":
        rows = [f"{name},{text or ''},1" for name, text in zip(ids, texts)]
        place.put("a.csv", "\n".join(["id,photo,late", *rows, ""]))
    elif source == "tfrecord":
        rows = [
            example(id=name, late=1, **({} if photo is None else {"photo": photo})) for name, photo in zip(ids, PHOTOS)
        ]
        place.put("a.tfrecord", tfrecord(*rows))
    else:
        kind = {"parquet": pa.binary(), "large": pa.large_binary(), "text": pa.string()}[source]
        column = pa.array(texts if source == "text" else PHOTOS, kind)
        place.put_table("a.parquet", pa.table({"id": ids, "photo": column, "late": late}))


@pytest.mark.parametrize("source", ["parquet", "large", "text", "csv", "tfrecord"])
def test_good_images_are_kept_and_bad_ones_told(place: Place, source: str) -> None:
    put(place, source)
    snapshot = place.ingest(data=DATA)
    assert place.rows(snapshot).to_pylist() == [
        {"id": "0", "photo": GOOD, "late": 1},
        {"id": "1", "photo": None, "late": 1},
        {"id": "5", "photo": None, "late": 1},
    ]
    first = 2 if source == "csv" else 1
    assert {row["line"] - first + 1: row["reason"] for row in place.rejected(snapshot)} == REASONS
    assert snapshot.partitions[0].rejected == dict.fromkeys(REASONS.values(), 1)


def test_a_required_image_that_is_missing_is_a_bad_row(place: Place) -> None:
    put(place, "parquet")
    snapshot = place.ingest(data=REQUIRED)
    assert [row["id"] for row in place.rows(snapshot).to_pylist()] == ["0"]
    assert snapshot.partitions[0].rejected["photo is missing"] == 2


def test_text_that_is_no_base64(place: Place) -> None:
    place.put("a.csv", "id,photo,late\na,what?,1\nb,,0\n")
    assert place.rejected(place.ingest(data=DATA))[0]["reason"] == "photo is not base64"


def test_numbers_are_no_images(place: Place) -> None:
    place.put_table("a.parquet", pa.table({"id": ["a"], "photo": [1], "late": [1]}))
    with pytest.raises(
        UserError, match="column photo is declared image but has type int64; it must be binary, or text"
    ):
        place.ingest(data=DATA)


def test_rows_with_images_are_kept_in_small_groups(place: Place) -> None:
    rows = 2500
    place.put_table(
        "a.parquet", pa.table({"id": list(map(str, range(rows))), "photo": [GOOD] * rows, "late": [1] * rows})
    )
    file = pq.ParquetFile(place.ingest(data=DATA).paths()[0])
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [1024, 1024, 452]
    assert rows < ROW_GROUP_ROWS
