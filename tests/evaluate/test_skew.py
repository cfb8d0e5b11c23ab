"""A difference between the features trained on and the features served is found and named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import artifacts
from components.errors import UserError
from components.evaluate.skew import check_skew
from components.features.arrow import arrow_schema, dense
from components.features.category import Category
from components.features.columns import Data
from components.features.declaration import Nothing, Vocabulary
from components.features.numeric import Numeric
from components.features.transform import Transform

TOKENS = ("AA", "UA", "WN")


@pytest.fixture
def transform(data) -> Transform:
    features = (
        Numeric(name="x", column="x", scale="none"),
        Category(name="hashed", column="carrier", hash_buckets=50),
        Category(name="carrier", column="carrier"),
    )
    return _with_tokens(data(), features, TOKENS)


def _with_tokens(data: Data, features: tuple, tokens: tuple[str, ...]) -> Transform:
    return Transform(data, features, {"x": Nothing(), "hashed": Nothing(), "carrier": Vocabulary(tokens, (1,) * 3)})


@pytest.fixture
def examples(tmp_path, transform):
    columns = {"x": [1.5, None, 3e5], "noise": [0.0] * 3, "carrier": ["AA", "WN", None], "late": [0, 1, None]}
    table = pa.table(columns, schema=arrow_schema(transform.data))
    pq.write_table(table, tmp_path / artifacts.HELDOUT)
    floats, ids = transform(dense(table, transform.data, transform.source_columns))
    np.savez(tmp_path / "heldout_expected.npz", floats=floats, ids=ids.astype(np.int64))
    return tmp_path


def change(examples, name: str, row: int, column: int, by: float) -> None:
    with np.load(examples / "heldout_expected.npz") as read:
        expected = dict(read)
    expected[name][row, column] += by
    np.savez(examples / "heldout_expected.npz", **expected)


def test_equal_features_pass(transform, examples):
    assert check_skew(transform, examples) == {"rows": 3, "largest_difference": 0.0}


def test_tokens_in_another_order_are_found(transform, examples):
    other = _with_tokens(transform.data, transform.features, TOKENS[::-1])
    with pytest.raises(UserError, match=r"the feature carrier is 4 as it will be served, but 2 as .* row 0 \(2 of 3"):
        check_skew(other, examples)


def test_an_id_may_not_differ_at_all(transform, examples):
    change(examples, "ids", 2, 0, 1)
    with pytest.raises(UserError, match="the feature hashed is 0 as it will be served, but 1"):
        check_skew(transform, examples)


@pytest.mark.parametrize("row, by, fails", [(0, 1e-5, True), (2, 0.25, False), (2, 0.5, True), (1, np.nan, True)])
def test_floats_may_differ_by_a_millionth(transform, examples, row, by, fails):
    change(examples, "floats", row, 0, by)
    if fails:
        with pytest.raises(UserError, match="the feature x is"):
            check_skew(transform, examples)
    else:
        assert 0 < check_skew(transform, examples)["largest_difference"] < 1e-6
