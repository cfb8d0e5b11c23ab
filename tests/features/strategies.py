"""Hypothesis strategies: columns of every type with their awkward values, and features of every kind with constants."""

import json

import numpy as np
from hypothesis import strategies as st

from components.features.boolean import Boolean
from components.features.category import Category
from components.features.columns import MISSING_INTEGER, Data
from components.features.cross import Cross
from components.features.datetime import SIZES, Datetime
from components.features.declaration import Bounds, Feature, Learned, Moments, Nothing, Vocabulary
from components.features.declared import AnyFeature
from components.features.numeric import Numeric
from components.schema import Section, parse

TYPES = {
    "number": "float",
    "count": "integer",
    "flag": "boolean",
    "word": "string",
    "town": "string",
    "moment": "timestamp",
    "label": "boolean",
}
DATA = Data.model_validate_json(json.dumps({"columns": TYPES, "label": "label", "task": "binary"}))

TOKENS = ["a", "b", "Zürich", "東京", "🛫", "0", "1", "-7", " a", "a b", "a\x1fb", "\x00", "NaN", str(2**63 - 1)]
BIG_INTEGERS = [MISSING_INTEGER, MISSING_INTEGER + 1, 2**63 - 1, 2**53 + 1, -1, 0, 1]
BIG_FLOATS = [np.nan, np.inf, -np.inf, 1e308, -1e308, 3.4e38, -3.4e38, 1e-40, -1e-40, -0.0, 0.0, 1.0]

finite = st.floats(-1e38, 1e38, allow_subnormal=False) | st.floats(-100, 100, allow_subnormal=False)
integers = st.sampled_from(BIG_INTEGERS) | st.integers(-100, 100) | st.integers(-(2**63), 2**63 - 1)
texts = st.sampled_from(["", *TOKENS]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = {
    "float": st.sampled_from(BIG_FLOATS) | st.floats() | st.floats(-100, 100),
    "integer": integers,
    "boolean": st.sampled_from([MISSING_INTEGER, 0, 1]),
    "string": texts,
    "timestamp": integers | st.integers(-(10**10), 10**10),
}
DTYPES = {"float": np.float32, "integer": np.int64, "boolean": np.int64, "string": object, "timestamp": np.int64}


class One(Section):
    """Parses one feature as model.yaml would."""

    feature: AnyFeature


def feature(**declared) -> Feature:
    """A feature as a user declares it."""
    return parse(One, json.dumps({"feature": {"name": "it", **declared}})).feature


@st.composite
def raw_batches(draw, names=tuple(TYPES)):
    """Columns of DATA, dense, of one length."""
    size = draw(st.integers(0, 8))
    batch = {}
    for name in names:
        values = draw(st.lists(VALUES[TYPES[name]], min_size=size, max_size=size))
        with np.errstate(over="ignore"):
            batch[name] = np.array(values, DTYPES[TYPES[name]])
    return batch


@st.composite
def numerics(draw) -> tuple[Feature, Learned]:
    clip = sorted(draw(st.none() | st.lists(finite, min_size=2, max_size=2, unique=True)) or ()) or None
    column = draw(st.sampled_from(["number", "count", "flag"]))
    scale = draw(st.sampled_from(["standardize", "min_max", "none", "buckets"]))
    common = {"name": "it", "column": column, "clip": clip and tuple(clip), "scale": scale}
    if scale == "buckets":
        bounds = sorted(draw(st.lists(finite | st.sampled_from([0.0, 1.0, 0.1]), max_size=6, unique=True)))
        return Numeric(**common, buckets=7), Bounds(tuple(bounds))
    rest = {"log": draw(st.booleans()), "missing": draw(st.none() | finite), "indicator": draw(st.booleans())}
    declared = Numeric(**common, **rest)
    return declared, Nothing() if scale == "none" else draw(moments())


@st.composite
def moments(draw) -> Moments:
    low, mean, high = sorted(draw(st.lists(finite, min_size=3, max_size=3)))
    std = draw(st.sampled_from([0.0, 1e-30, 1e-8, 1.0]) | st.floats(0, 1e38, allow_subnormal=False))
    return Moments(mean, std, low, high)


@st.composite
def categories(draw) -> tuple[Feature, Learned]:
    column = draw(st.sampled_from(["word", "count", "flag"]))
    if draw(st.booleans()):
        return Category(name="it", column=column, hash_buckets=draw(st.integers(2, 10_000_000))), Nothing()
    known = draw(st.lists(texts.filter(bool), max_size=8, unique=True))
    declared = Category(name="it", column=column, oov_buckets=draw(st.integers(1, 50)))
    return declared, Vocabulary(tuple(known), (1,) * len(known))


@st.composite
def crosses(draw) -> tuple[Feature, Learned]:
    names = ["word", "town", "count", "flag"]
    columns = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    return Cross(name="it", columns=tuple(columns), hash_buckets=draw(st.integers(2, 10_000_000))), Nothing()


@st.composite
def datetimes(draw) -> tuple[Feature, Learned]:
    parts = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, unique=True))
    encode = draw(st.sampled_from(["cyclic", "category"]))
    return Datetime(name="it", column="moment", parts=tuple(parts), encode=encode), Nothing()


@st.composite
def booleans(draw) -> tuple[Feature, Learned]:
    return Boolean(name="it", column="flag", missing=draw(st.floats(0, 1))), Nothing()


KINDS = {
    "numeric": numerics(),
    "category": categories(),
    "cross": crosses(),
    "datetime": datetimes(),
    "boolean": booleans(),
}
