"""Raw columns: their declaration and their dense form."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from components.features.arrow import arrow_schema, dense
from components.features.columns import MISSING_INTEGER, Data
from tests.features.strategies import DATA, DTYPES, TYPES


def test_every_type_has_its_dense_form_and_its_missing_value():
    values = {
        "number": [1.5, None, 1e308],
        "count": [2**63 - 1, None, -1],
        "flag": [True, None, False],
        "word": ["東京", None, ""],
        "town": ["a", "b", None],
        "moment": [1_500_000, None, -1],
        "label": [True, False, None],
    }
    schema = arrow_schema(DATA)
    table = pa.table({name: pa.array(column, schema.field(name).type) for name, column in values.items()})
    for source in (table, table.to_batches()[0]):
        batch = dense(source, DATA, tuple(TYPES))
        assert {name: column.dtype for name, column in batch.items()} == {
            name: np.dtype(DTYPES[kind]) for name, kind in TYPES.items()
        }
        assert batch["number"][0] == 1.5
        assert math.isnan(batch["number"][1])
        assert batch["number"][2] == math.inf
        assert batch["count"].tolist() == [2**63 - 1, MISSING_INTEGER, -1]
        assert batch["flag"].tolist() == [1, MISSING_INTEGER, 0]
        assert batch["word"].tolist() == ["東京", "", ""]
        assert batch["moment"].tolist() == [1, MISSING_INTEGER, -1]


BASE = {"columns": {"x": "float", "y": "boolean"}, "label": "y", "task": "binary"}


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"label": "z"}, "label names z, which is not in columns"),
        ({"time": "x"}, "time names x, of type float; it must be a timestamp"),
        ({"key": ["z"]}, "key names z, which is not in columns"),
        ({"task": "regression"}, "label y has type boolean; regression needs integer or float"),
        ({"task": "multiclass"}, "multiclass needs classes with three values or more"),
        ({"classes": [False]}, "binary needs two classes, not 1"),
        ({"columns": {"x": {"type": "string", "min": 0}, "y": "boolean"}}, "min and max need type integer or float"),
        ({"columns": {"x": {"type": "float", "min": 1, "max": 0}, "y": "boolean"}}, "min 1.0 is above max 0.0"),
        ({"columns": {"x": {"type": "float", "values": [1]}, "y": "boolean"}}, "values needs type string or integer"),
    ],
)
def test_wrong_data_is_refused_with_a_sentence(change, sentence):
    with pytest.raises(ValidationError) as error:
        Data.model_validate_json(json.dumps({**BASE, **change}))
    assert sentence in str(error.value)


def test_a_column_may_list_its_values():
    columns = {"x": {"type": "string", "values": ["a", "b"]}, "y": "boolean"}
    data = Data.model_validate_json(json.dumps({**BASE, "columns": columns}))
    assert data.columns["x"].values == ("a", "b")


def test_label_classes_have_defaults():
    assert Data.model_validate_json(json.dumps(BASE)).label_classes == (False, True)
    number = {"columns": {"x": "float", "y": "integer"}, "label": "y", "task": "binary"}
    assert Data.model_validate_json(json.dumps(number)).label_classes == (0, 1)
    assert Data.model_validate_json(json.dumps({**number, "task": "regression"})).label_classes == ()
