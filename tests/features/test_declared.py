"""What may be declared, and the sentences that refuse the rest."""

import json

import pytest

from components.errors import UserError
from components.features.columns import Data
from components.features.declared import check_features
from tests.features.strategies import DATA, TYPES, feature


@pytest.mark.parametrize(
    "declared, sentence",
    [
        ({"kind": "numeric"}, "feature.column is missing; add it"),
        (
            {"kind": "numeric", "column": "number", "scal": "none"},
            "feature.scal is not a known key; did you mean scale?",
        ),
        ({"kind": "numeric", "column": "number", "clip": [2, 2]}, "the first must be below the second"),
        ({"kind": "numeric", "column": "number", "buckets": 5}, "buckets needs scale buckets, not standardize"),
        ({"kind": "numeric", "column": "number", "scale": "buckets"}, "scale buckets needs buckets"),
        ({"kind": "numeric", "column": "number", "buckets": 1}, "buckets is 1; it must be greater than or equal to 2"),
        (
            {"kind": "numeric", "column": "number", "scale": "buckets", "buckets": 5, "log": True},
            "log changes nothing with scale buckets; remove it",
        ),
        (
            {"kind": "numeric", "column": "number", "scale": "buckets", "buckets": 5, "indicator": True},
            "scale buckets has an id of its own for missing",
        ),
        (
            {"kind": "category", "column": "word", "min_count": 0},
            "min_count is 0; it must be greater than or equal to 1",
        ),
        ({"kind": "category", "column": "word", "hash_buckets": 9, "min_count": 2}, "min_count needs a vocabulary"),
        ({"kind": "category", "column": "word", "hash_buckets": 9, "oov_buckets": 2}, "oov_buckets needs a vocabulary"),
        (
            {"kind": "cross", "columns": ["word"], "hash_buckets": 9},
            'columns is ["word"]; it must have at least 2 items',
        ),
        ({"kind": "cross", "columns": ["word", "word"], "hash_buckets": 9}, "columns names word more than once"),
        ({"kind": "cross", "columns": ["word", "town"]}, "feature.hash_buckets is missing; add it"),
        ({"kind": "datetime", "column": "moment", "parts": []}, "parts is []; it must have at least 1 item"),
        ({"kind": "datetime", "column": "moment", "parts": ["day"]}, "parts.0 is \"day\"; it must be 'minute_of_day'"),
        ({"kind": "datetime", "column": "moment", "parts": ["hour", "hour"]}, "parts names hour more than once"),
        ({"kind": "boolean", "column": "flag", "missing": 2}, "missing is 2; it must be less than or equal to 1"),
        ({"kind": "sound", "column": "word"}, 'feature.kind is "sound"; it must be one of numeric, category, cross,'),
        ({"column": "word"}, "feature.kind is missing; it must be one of numeric"),
        ({"kind": "boolean", "column": "flag", "name": "Flag"}, 'feature.name is "Flag"; it must match pattern'),
    ],
)
def test_wrong_declarations_are_refused_with_a_sentence(declared, sentence):
    with pytest.raises(UserError) as error:
        feature(**declared)
    assert sentence in str(error.value)


def test_defaults_travel():
    """A declaration that was written out with all its defaults is read back as the same."""
    hashed = feature(kind="category", column="word", hash_buckets=9)
    assert feature(**json.loads(hashed.to_json())) == hashed


@pytest.mark.parametrize(
    "declared, sentence",
    [
        ({"kind": "numeric", "column": "nmber"}, "feature it: column nmber is not in data.columns; declare it there"),
        ({"kind": "numeric", "column": "word"}, "column word has type string; it must be float or integer or boolean"),
        (
            {"kind": "category", "column": "number"},
            "column number has type float; it must be string or integer or boolean",
        ),
        ({"kind": "cross", "columns": ["word", "moment"], "hash_buckets": 9}, "column moment has type timestamp"),
        ({"kind": "datetime", "column": "count", "parts": ["hour"]}, "column count has type integer"),
        ({"kind": "boolean", "column": "count"}, "column count has type integer; it must be boolean"),
        ({"kind": "boolean", "column": "label"}, "feature it reads label, the label; remove it"),
        ({"kind": "cross", "columns": ["word", "label"], "hash_buckets": 9}, "feature it reads label, the label"),
    ],
)
def test_features_that_the_data_cannot_feed_are_refused(declared, sentence):
    with pytest.raises(ValueError) as error:
        check_features([feature(**declared)], DATA)
    assert sentence in str(error.value)


def test_names_are_unique():
    twice = [feature(kind="boolean", column="flag"), feature(kind="category", column="word")]
    with pytest.raises(ValueError, match="more than one named it; give each its own name"):
        check_features(twice, DATA)


def with_key(*key: str) -> Data:
    declared = {"columns": TYPES, "label": "label", "task": "binary", "key": key}
    return Data.model_validate_json(json.dumps(declared))


def test_a_key_is_no_feature_but_a_part_of_one_may_be():
    word = [feature(kind="category", column="word")]
    with pytest.raises(ValueError, match="feature it reads word, the key that only names rows"):
        check_features(word, with_key("word"))
    check_features(word, with_key("word", "moment"))
    check_features(word, with_key("town"))
