"""Images in files to predict: those that cannot be read are set aside, the others predicted."""

import base64
import json

import numpy as np
import pyarrow as pa
import pytest

from components.features.bulk import BulkTransform
from components.predict.rows import Cells, Wanted, part
from tests.learning.photos import DATA, make_transform, raw_rows

PHOTOS = [*raw_rows(3)["photo"], b"hello", None]


@pytest.mark.parametrize("form", ["bytes", "text", "coded text"])
def test_unreadable_images_are_set_aside(form) -> None:
    """Parquet brings bytes, CSV brings text as a dictionary."""
    texts = pa.array([photo and base64.b64encode(photo).decode() for photo in PHOTOS])
    photos = {"bytes": pa.array(PHOTOS, pa.binary()), "text": texts, "coded text": texts.dictionary_encode()}[form]
    cells = Cells({"photo": photos, "id": pa.array(range(5))}, np.arange(1, 6))
    rows = part(cells, Wanted(DATA, ("photo",), ("id",)), "a.csv")
    assert rows.good["id"].to_pylist() == [0, 1, 2, 4]
    (bad,) = rows.bad
    assert (bad["line"].to_pylist(), bad["reason"].to_pylist()) == ([4], ["photo is no PNG image"])
    transform = make_transform(alone=True)
    _, _, images = BulkTransform(transform)(rows.good)
    np.testing.assert_array_equal(images, transform({"photo": np.array([*PHOTOS[:3], b""], object)})[2])


def test_bad_images_are_kept_in_base64_of_bounded_length() -> None:
    photos = [b"\xff\x00photo", b"\xff" * 10_000, b"hello"]
    cells = Cells({"photo": pa.array(photos, pa.binary()), "id": pa.array(range(3))}, np.arange(3))
    (bad,) = part(cells, Wanted(DATA, ("photo",), ("id",)), "a.parquet").bad
    first, long, text = (json.loads(row)["photo"] for row in bad["row"].to_pylist())
    assert base64.b64decode(first) == photos[0]
    assert text == "hello"
    assert len(long) < 4200 and long.endswith("... (10000 bytes)")
