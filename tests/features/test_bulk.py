"""The bulk form gives, bit for bit, what the plain form gives."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.features.arrow import ARROW_TYPES, dense
from components.features.bulk import BLOCK_ROWS, BulkTransform
from components.features.declaration import Nothing
from components.features.transform import Transform
from tests.features.strategies import BIG_FLOATS, BIG_INTEGERS, DATA, KINDS, TOKENS, TYPES, feature, texts

VALUES = {
    "float": st.none() | st.sampled_from(BIG_FLOATS) | st.floats(),
    "integer": st.none() | st.sampled_from(BIG_INTEGERS) | st.integers(-(2**63), 2**63 - 1),
    "boolean": st.none() | st.booleans(),
    "string": st.none() | texts,
    "timestamp": st.none() | st.sampled_from(BIG_INTEGERS[1:]) | st.integers(-(10**16), 10**16),
}


def columns(draw, size):
    """Arrow columns of DATA; text as it is, or as dictionaries whose values may stand there twice."""
    table = {}
    for name, kind in TYPES.items():
        values = draw(st.lists(VALUES[kind], min_size=size, max_size=size))
        array = pa.array(values, pa.int64() if kind == "timestamp" else ARROW_TYPES[kind]).cast(ARROW_TYPES[kind])
        if kind == "string" and draw(st.booleans()):
            codes = pa.array([None if value is None else place for place, value in enumerate(values)], pa.int32())
            array = pa.DictionaryArray.from_arrays(codes, array)
        table[name] = array
    return pa.table(table)


@st.composite
def transforms(draw):
    drawn = draw(st.lists(st.one_of(*KINDS.values()), min_size=1, max_size=6))
    named = [(one.model_copy(update={"name": f"f{index}"}), learned) for index, (one, learned) in enumerate(drawn)]
    return Transform(DATA, tuple(one for one, _ in named), {one.name: learned for one, learned in named})


def plain(table):
    """Without dictionaries."""
    kinds = [ARROW_TYPES[kind] for kind in TYPES.values()]
    return table.cast(pa.schema(list(zip(TYPES, kinds))))


def bits(array):
    return array.view(np.int32)


def assert_equal(transform, table):
    wanted = transform(dense(plain(table), DATA, transform.source_columns))
    found = BulkTransform(transform)(table)
    for want, got in zip(wanted, found):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        np.testing.assert_array_equal(bits(got), bits(want))
    return found


@given(data=st.data())
def test_random_features_of_random_columns(data):
    table = columns(data.draw, data.draw(st.integers(0, 12)))
    assert_equal(data.draw(transforms()), table)


@pytest.fixture
def many():
    """More rows than a block, with values that stand for missing and that no training saw."""
    random = np.random.default_rng(3)
    rows = 2 * BLOCK_ROWS + 17
    drawn = {
        "number": random.choice([*BIG_FLOATS, None], rows),
        "count": random.choice(np.array([*BIG_INTEGERS, None], object), rows),
        "flag": random.choice(np.array([True, False, None], object), rows),
        "word": random.choice(np.array([*TOKENS, "", None], object), rows),
        "town": random.choice(np.array([*TOKENS, "", None], object), rows),
        "moment": random.integers(-(10**15), 10**15, rows).astype(object),
        "label": np.full(rows, None, object),
    }
    drawn["moment"][::7] = None
    return pa.table({name: pa.array(values.tolist(), ARROW_TYPES[TYPES[name]]) for name, values in drawn.items()})


def test_many_rows_of_every_kind(every_kind, many):
    floats, ids = assert_equal(every_kind, many)
    assert len(floats) == many.num_rows
    assert len({tuple(row) for row in ids.tolist()}) > 100


def test_columns_in_several_chunks(every_kind, many):
    pieces = [many.slice(start, 1000) for start in range(0, many.num_rows, 1000)]
    assert_equal(every_kind, pa.concat_tables(pieces))


def test_blocks_are_consecutive_rows(every_kind, many):
    blocks = list(BulkTransform(every_kind).blocks(many))
    assert [len(floats) for floats, _ in blocks] == [BLOCK_ROWS, BLOCK_ROWS, 17]
    assert all(len(floats) == len(ids) and ids.flags.c_contiguous for floats, ids in blocks)


def test_no_rows_give_one_empty_block(every_kind, many):
    ((floats, ids),) = BulkTransform(every_kind).blocks(many.slice(0, 0))
    assert floats.shape == (0, len(every_kind.float_names))
    assert ids.shape == (0, len(every_kind.id_names))


def test_combinations_of_four_columns_beyond_32_bits(many):
    """Distinct values of four columns can have more combinations than any integer counts."""
    wide = feature(kind="cross", columns=["word", "town", "count", "flag"], hash_buckets=1000)
    rows = 60_000
    names = pa.array([f"w{index}" for index in range(rows)])
    flags = pa.array([True, False] * (rows // 2))
    table = pa.table(
        {"word": names, "town": names, "count": pa.array(range(rows)), "flag": flags}
        | {name: pa.nulls(rows, ARROW_TYPES[TYPES[name]]) for name in ("number", "moment", "label")}
    ).select(list(TYPES))
    assert_equal(Transform(DATA, (wide,), {"it": Nothing()}), table)
