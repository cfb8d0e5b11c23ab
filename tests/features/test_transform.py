"""A transform as a whole: its columns, its files, its digest."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given

from components.features.category import Category
from components.features.columns import Data
from components.features.declaration import Moments, Nothing
from components.features.transform import Transform, features_digest
from tests.features.strategies import DATA, feature, raw_batches


def test_names_and_sizes_match_what_is_computed(every_kind):
    raw = {name: np.zeros(2, np.int64) for name in ("count", "flag", "moment")}
    raw |= {
        "number": np.zeros(2, np.float32),
        "word": np.array(["a", "b"], object),
        "town": np.array(["", "x"], object),
    }
    floats, ids = every_kind(raw)
    assert floats.shape == (2, len(every_kind.float_names))
    assert ids.shape == (2, len(every_kind.id_names)) == (2, len(every_kind.id_sizes))
    assert every_kind.float_names[:2] == ("standardized", "standardized")
    assert every_kind.id_names[:2] == ("bucketed", "known")
    assert every_kind.id_sizes[:4] == (5, 8, 4, 2)
    assert every_kind.source_columns == ("number", "count", "flag", "word", "town", "moment")


@given(raw=raw_batches())
def test_a_batch_gives_what_its_rows_give_alone(every_kind, raw):
    floats, ids = every_kind(raw)
    for row in range(len(raw["word"])):
        alone = every_kind({name: values[row : row + 1] for name, values in raw.items()})
        np.testing.assert_array_equal(alone[0][0], floats[row])
        np.testing.assert_array_equal(alone[1][0], ids[row])


def test_it_is_read_as_it_was_written(every_kind, tmp_path):
    every_kind.write(tmp_path)
    assert Transform.read(tmp_path) == every_kind
    assert sorted(path.name for path in (tmp_path / "vocabulary").iterdir()) == [
        "known.json",
        "known_count.json",
        "known_nothing.json",
    ]


def test_it_travels_to_another_process(every_kind):
    assert pickle.loads(pickle.dumps(every_kind)) == every_kind


def test_an_empty_folder_holds_no_transform(tmp_path):
    with pytest.raises(FileNotFoundError):
        Transform.read(tmp_path)


@pytest.mark.parametrize("constants", [{}, {"it": Moments(0, 1, 0, 1)}])
def test_constants_must_be_those_that_the_kind_learns(constants):
    with pytest.raises(ValueError, match="feature it needs learned vocabulary"):
        Transform(DATA, (Category(name="it", column="word"),), constants)


def test_the_digest_is_of_the_declaration_only(every_kind):
    relearned = {**every_kind.constants, "standardized": Moments(0, 1, 0, 1)}
    assert dataclasses.replace(every_kind, constants=relearned).features_digest() == every_kind.features_digest()
    other = every_kind.features[:-1]
    assert features_digest(other, DATA) != every_kind.features_digest()


def test_the_digest_follows_the_types_of_columns_and_not_their_limits():
    def data(column: dict) -> Data:
        return Data.model_validate({"columns": {"x": column, "y": "boolean"}, "label": "y", "task": "binary"})

    features = (feature(kind="numeric", column="x"),)
    plain = features_digest(features, data({"type": "float"}))
    assert features_digest(features, data({"type": "float", "max": 3.0})) == plain
    assert features_digest(features, data({"type": "integer"})) != plain


def test_hashed_features_need_no_constants_but_an_entry():
    hashed = (Category(name="it", column="word", hash_buckets=5),)
    assert Transform(DATA, hashed, {"it": Nothing()}).id_sizes == (6,)
