"""Images through the real preprocess: the pixels in the examples are those that the server sees."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import artifacts
from components.artifacts import Partition, Snapshot
from components.features.arrow import dense
from components.features.transform import Transform
from components.learning.input import Reader
from components.preprocess.config import PreprocessConfig
from components.preprocess.facts import read_facts
from components.schema import parse
from tests.learning.photos import DATA, NETWORK, OTHERS, PHOTO, SHAPE, raw_rows

ROWS = 400


def table() -> pa.Table:
    raw = raw_rows(ROWS)
    columns = {
        "photo": pa.array([photo or None for photo in raw["photo"]], pa.binary()),
        "size": pa.array(raw["size"].astype(np.float64)),
        "town": pa.array([town or None for town in raw["town"]]),
        "y": pa.array([("dark", "dim", "bright")[row % 3] for row in range(ROWS)]),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    root = tmp_path_factory.mktemp("work") / "data"
    (root / "partitions" / "aa").mkdir(parents=True)
    pq.write_table(table(), root / "partitions" / "aa" / "rows.parquet", row_group_size=150)
    made = Snapshot("first", (Partition("aa", "a.parquet", ROWS, 0, {}, None, None),), root)
    made.write()
    return made


@pytest.fixture(scope="module")
def examples(snapshot, tmp_path_factory):
    from components.preprocess.preprocess import preprocess

    work = tmp_path_factory.mktemp("work")
    (work / "empty").mkdir()
    described = [feature.model_dump(mode="json") for feature in (PHOTO, *OTHERS)]
    section = {"data": DATA.model_dump(mode="json"), "features": described, "network": NETWORK.model_dump(mode="json")}
    config = parse(PreprocessConfig, json.dumps({**section, "preprocess": {"rows_per_shard": 150}}))
    preprocess(snapshot.path, work / "empty", config, work, work / "examples")
    return work / "examples"


def sorted_rows(images: np.ndarray, floats: np.ndarray) -> list[bytes]:
    return sorted(pixels.tobytes() + numbers.tobytes() for pixels, numbers in zip(images, floats))


def test_examples_hold_the_pixels_as_bytes(examples) -> None:
    described = artifacts.Examples.read(examples)
    assert described.image_shape == SHAPE
    columns = Reader(examples, described, ("train", "validation")).columns()
    heldout = pq.read_table(examples / artifacts.HELDOUT)
    assert len(columns["images"]) + len(heldout) == ROWS
    transform = Transform.read(examples)
    assert transform.constants["town"].tokens
    floats, _, images = transform(dense(heldout, DATA, transform.source_columns))
    whole = transform(dense(table(), DATA, transform.source_columns))
    found = sorted_rows(np.concatenate([columns["images"], images]), np.concatenate([columns["floats"], floats]))
    assert found == sorted_rows(whole[2], whole[0])


def test_what_the_server_must_see_is_kept(examples) -> None:
    with np.load(examples / artifacts.HELDOUT_EXPECTED) as expected:
        images = expected["images"]
    transform = Transform.read(examples)
    heldout = pq.read_table(examples / artifacts.HELDOUT)
    np.testing.assert_array_equal(transform(dense(heldout, DATA, transform.source_columns))[2], images)


def test_skew_in_a_pixel_is_found(examples, tmp_path) -> None:
    import shutil

    from components.errors import UserError
    from components.evaluate.skew import check_skew

    transform = Transform.read(examples)
    assert check_skew(transform, examples)["rows"] > 0
    copy = shutil.copytree(examples, tmp_path / "examples")
    with np.load(copy / artifacts.HELDOUT_EXPECTED) as expected:
        changed = dict(expected)
    changed["images"][1, 2, 3, 0] ^= 1
    np.savez(copy / artifacts.HELDOUT_EXPECTED, **changed)
    with pytest.raises(UserError, match=r"the feature photo is .* in held-out row 1"):
        check_skew(transform, copy)


def test_rows_without_key_are_told_apart_by_their_images(snapshot) -> None:
    """By a table of nothing but images and classes, of which there are few different ones."""
    data = DATA.model_copy(update={"columns": {name: DATA.columns[name] for name in ("photo", "y")}})
    places = np.concatenate([facts.order for facts in read_facts(snapshot, data)])
    different = len({(row["photo"], row["y"]) for row in table().to_pylist()})
    assert len(np.unique(places)) == different > ROWS * 0.8
