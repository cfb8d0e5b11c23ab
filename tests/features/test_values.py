"""The transform on Python values gives exactly what it gives on dense columns, and reading them loses nothing."""

import json
import math
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.features.columns import MISSING_INTEGER
from components.features.declaration import Nothing
from components.features.reader import InstanceReader
from components.features.rows import values_of
from components.features.transform import Transform
from components.features.values import FEW_ROWS, ValueTransform
from tests.features.strategies import DATA, KINDS, TYPES, feature, raw_batches


def rows_of(raw, names):
    """Dense columns as the values of a request."""
    return list(zip(*[[value_of(value, TYPES[name]) for value in raw[name].tolist()] for name in names]))


def value_of(value, kind):
    if kind == "string":
        return value or None
    if kind == "float":
        return None if math.isnan(value) else value
    if value == MISSING_INTEGER:
        return None
    if kind == "timestamp":
        return datetime(1970, 1, 1) + timedelta(seconds=value)
    return bool(value) if kind == "boolean" else value


def of_this_age(raw):
    """A batch whose times are those that a datetime can be."""
    if "moment" not in raw:
        return raw
    seconds = raw["moment"]
    bounded = np.clip(seconds, -62_135_596_800, 253_402_300_799)
    return raw | {"moment": np.where(seconds == MISSING_INTEGER, MISSING_INTEGER, bounded)}


def assert_equal_to_dense(transform, raw, copies):
    raw = {name: np.tile(values, copies) for name, values in of_this_age(raw).items()}
    rows = rows_of(raw, transform.source_columns)
    floats, ids = ValueTransform(transform)(rows)
    dense_floats, dense_ids = transform(raw)
    assert (floats.dtype, ids.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(ids, dense_ids)
    np.testing.assert_array_equal(floats, dense_floats)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_random_features_equal_the_dense_form(kind, data):
    declared, learned = data.draw(KINDS[kind])
    raw = data.draw(raw_batches(declared.source_columns).filter(lambda raw: len(next(iter(raw.values()))) > 0))
    transform = Transform(DATA, (declared,), {declared.name: learned})
    for copies in (1, FEW_ROWS + 1):
        assert_equal_to_dense(transform, raw, copies)


@given(raw=raw_batches().filter(lambda raw: len(raw["word"]) > 0))
def test_all_kinds_together_equal_the_dense_form(every_kind, raw):
    for copies in (1, FEW_ROWS + 1):
        assert_equal_to_dense(every_kind, raw, copies)


def test_unseen_values_are_counted_by_feature(every_kind):
    values = ValueTransform(every_kind)
    before = values.unseen()
    row = dict.fromkeys(every_kind.source_columns) | {"word": "no vocabulary has this"}
    values([tuple(row.values())] * 2)
    counted = {name: count - before[name] for name, count in values.unseen().items()}
    read_by = {feature.name for feature in every_kind.features if feature.source_columns == ("word",)}
    assert {name for name, count in counted.items() if count} <= read_by
    assert set(counted.values()) == {0, 2}


def moment_text(moment, digits):
    text = moment.replace(microsecond=0).isoformat()
    return f"{text}.{digits}" if digits else text


NAMES = ("number", "count", "flag", "word", "moment")
JSON_VALUES = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63),
    "count": st.integers(-(2**63) + 1, 2**63 - 1),
    "flag": st.booleans(),
    "word": st.text(st.characters(exclude_categories=["Cs"])),
    "moment": st.builds(moment_text, st.datetimes(), st.text("0123456789", max_size=9)),
}
INSTANCES = st.lists(
    st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in JSON_VALUES.items()}), min_size=1
)


@given(instances=INSTANCES)
def test_parsed_instances_are_those_of_the_definition(instances):
    reader = InstanceReader(DATA, NAMES)
    parsed = msgspec.json.decode(json.dumps(instances), type=list[reader.row_type])
    expected = list(zip(*values_of(instances, DATA, NAMES)))
    assert reader.rows(parsed) == expected == reader.from_json(instances)
    columns = {name: [instance.get(name) for instance in instances] for name in NAMES[1:]}
    by_column = msgspec.json.decode(json.dumps(columns), type=reader.columns_type)
    assert [row[1:] for row in reader.rows_of_columns(by_column)] == [row[1:] for row in expected]


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just([])


@given(instance=st.dictionaries(st.sampled_from((*NAMES, "nmber", "label")), ANYTHING))
def test_what_parsing_accepts_the_definition_accepts(instance):
    reader = InstanceReader(DATA, NAMES)
    try:
        parsed = msgspec.json.decode(json.dumps(instance), type=reader.row_type)
        read = reader.rows([parsed])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert read == reader.from_json([instance])


@pytest.mark.parametrize("columns", ["{}", '{"number": [1], "count": [1, 2]}', '{"number": []}'])
def test_columns_of_unequal_length_are_refused(columns):
    reader = InstanceReader(DATA, NAMES)
    parsed = msgspec.json.decode(columns, type=reader.columns_type)
    if columns == '{"number": []}':
        assert reader.rows_of_columns(parsed) == []
    else:
        with pytest.raises(ValueError, match="same number of values"):
            reader.rows_of_columns(parsed)


def test_an_unknown_field_is_named():
    with pytest.raises(UserError, match="nmber is not a field"):
        InstanceReader(DATA, NAMES).from_json([{"nmber": 1}])


def test_long_texts_are_not_remembered(every_kind):
    crossed = feature(kind="cross", columns=["word", "town"], hash_buckets=50)
    (crossed_id,) = crossed.value_ids(Nothing(), DATA)
    table = crossed_id.__self__
    for number in range(100):
        assert 1 <= crossed_id((f"{number}" * 1000, "b")) <= 50
    assert len(table) == 0
    assert crossed_id(("a", "b")) == crossed_id(("a", "b"))
    assert len(table) == 1
