"""Images beside other features: every form of the transform gives the same, and refuses the same."""

import base64

import numpy as np
import pyarrow as pa
import pytest

from components.errors import UserError
from components.features.arrow import ARROW_TYPES, arrow_schema, dense
from components.features.bulk import BLOCK_ROWS, BulkTransform
from components.features.columns import Data
from components.features.convert import convert, refusals
from components.features.declared import check_features
from components.features.image import Image
from components.features.instances import fitting, to_instances
from components.features.pixels import MAX_PIXELS
from components.features.reader import InstanceReader
from components.features.rows import from_rows
from components.features.transform import Transform
from components.features.transform_tf import TransformGraph
from components.features.values import ValueTransform
from tests.learning.photos import DATA, PHOTO, SHAPE, make_transform, raw_rows

NAMES = ("photo", "size", "town")


def table_of(raw) -> pa.Table:
    schema = arrow_schema(DATA)
    columns = {"photo": [photo or None for photo in raw["photo"]], "size": raw["size"].astype(float)}
    columns["town"] = [town or None for town in raw["town"]]
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in NAMES})


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_all_forms_are_equal(alone, rows) -> None:
    transform, raw = make_transform(alone), raw_rows(rows)
    expected = transform(raw)
    assert expected[2].shape == (rows, *SHAPE)
    columns = transform.source_columns
    values = [[value if value not in ("", b"") else None for value in raw[name].tolist()] for name in columns]
    graph = TransformGraph(transform)({name: np.array(column) for name, column in raw.items()})
    for found in (
        ValueTransform(transform)(list(zip(*values))),
        BulkTransform(transform)(table_of(raw)),
        transform(dense(table_of(raw), DATA, columns)),
        tuple(graph[name].numpy() for name in ("floats", "ids", "images")),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_blocks_have_their_own_images() -> None:
    transform, raw = make_transform(), raw_rows(20)
    many = pa.concat_tables([table_of(raw)] * (BLOCK_ROWS // 20 + 1)).combine_chunks()
    blocks = list(BulkTransform(transform).blocks(many))
    block_rows = MAX_PIXELS // (SHAPE[0] * SHAPE[1])
    assert block_rows < BLOCK_ROWS
    assert [len(images) for _, _, images in blocks] == [block_rows, len(many) - block_rows]
    start = block_rows % 20
    np.testing.assert_array_equal(blocks[1][2][: 20 - start], transform(raw)[2][start:])


def test_a_transform_with_an_image_is_read_as_it_was_written(tmp_path) -> None:
    make_transform().write(tmp_path)
    assert Transform.read(tmp_path) == make_transform()
    assert Transform.read(tmp_path).image_shape == SHAPE


def test_instances_give_the_same_rows_again() -> None:
    raw = raw_rows(12)
    instances = to_instances(raw, DATA)
    assert "photo" not in instances[9]
    again = from_rows(instances, DATA, NAMES)
    assert again["photo"].tolist() == raw["photo"].tolist()


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        ("no base64!", "row 1: photo is 'no base64!' (str); it must be a PNG image in base64"),
        (5, "row 1: photo is 5 (int); it must be a PNG image in base64"),
        ("aGVsbG8=", "row 1: photo is no PNG image; send a whole PNG image in base64"),
    ],
)
def test_unreadable_images_are_refused_before_they_are_predicted(photo, reason) -> None:
    good = {"photo": base64.b64encode(raw_rows(1)["photo"][0]).decode()}
    with pytest.raises(UserError) as error:
        from_rows([good, {"photo": photo}], DATA, NAMES)
    assert str(error.value) == reason
    assert fitting([good, {"photo": photo}, {}], DATA, NAMES)[0] == [good, {}]


def test_an_image_without_bytes_is_missing_in_parsed_instances() -> None:
    reader = InstanceReader(DATA, NAMES)
    good, row = raw_rows(1)["photo"][0], reader.row_type
    expected = [(good, None, None), (None, None, None), (None, None, None)]
    assert reader.rows([row(field_0=good), row(), row(field_0=b"")]) == expected
    assert reader.rows_of_columns(reader.columns_type(field_0=[good, None, b""])) == expected
    assert reader.instance(row(field_0=good)) == {"photo": base64.b64encode(good).decode()}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_bytes_are_read_as_they_are(kind) -> None:
    read, unread = convert(pa.array([b"abc", b"", None], kind), "image")
    assert read.to_pylist() == [b"abc", None, None]
    assert not any(unread.to_pylist())
    assert read.type == ARROW_TYPES["image"]


def test_text_is_read_as_base64() -> None:
    read, unread = convert(pa.array(["YWJj", "YW!", "", None, "YW\r\nJj\n"]), "image")
    assert read.to_pylist() == [b"abc", None, None, None, b"abc"]
    assert unread.to_pylist() == [False, True, False, False, False]
    with pytest.raises(pa.ArrowException):
        convert(pa.array([1]), "image")


def test_each_reason_is_told_with_its_rows() -> None:
    good = raw_rows(1)["photo"][0]
    found = refusals(pa.array([good, b"x", None, good[:40], b"y"], pa.binary()))
    assert [(reason, rows.to_pylist()) for reason, rows in found] == [
        ("is no PNG image", [False, True, False, False, True]),
        ("is a PNG image that is cut off", [False, False, False, True, False]),
    ]


def test_one_image_and_of_an_image() -> None:
    other = Image(name="other", column="photo", height=8, width=8)
    with pytest.raises(ValueError, match="features has the images photo, other; a network takes one"):
        check_features([PHOTO, other], DATA)
    with pytest.raises(ValueError, match="column town has type string; it must be image"):
        check_features([Image(name="it", column="town", height=8, width=8)], DATA)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": ("photo",)}, "key names photo, an image"),
        ({"label": "photo"}, "label photo has type image; multiclass needs integer, boolean or string"),
        ({"columns": {**DATA.columns, "photo": {"type": "image", "min": 0}}}, "min and max need type integer or float"),
    ],
)
def test_roles_that_an_image_cannot_have(change, reason) -> None:
    raw = {"columns": DATA.columns, "label": "y", "task": "multiclass", "classes": DATA.classes}
    with pytest.raises(ValueError, match=reason):
        Data(**{**raw, **change})
