"""The sentences in which a wrong configuration is refused."""

import json
from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field, model_validator

from components.errors import UserError
from components.schema import Section, canonical_json, known_keys, parse


class Train(Section):
    batch_size: int = Field(512, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    recipes: tuple[Literal["float32", "int8"], ...] = Field(("float32",), min_length=1)
    clip: tuple[float, float] | None = None


class Mlp(Section):
    kind: Literal["mlp"] = "mlp"
    hidden_units: tuple[int, ...] = (64,)


class Linear(Section):
    kind: Literal["linear"] = "linear"
    l2: float = 0.0

    @model_validator(mode="after")
    def _check(self) -> "Linear":
        if self.l2 > 1:
            raise ValueError(f"l2 is {self.l2}, which leaves nothing; take 1 or less")
        return self


class Column(Section):
    type: Literal["string", "float"]
    unit: str = ""


Network = Annotated[Mlp | Linear, Field(discriminator="kind")]
ShortColumn = Annotated[Column, BeforeValidator(lambda value: {"type": value} if isinstance(value, str) else value)]


class Root(Section):
    train: Train = Train()
    network: Network = Mlp()
    towers: tuple[Network, ...] = ()
    columns: dict[str, ShortColumn] = Field(default_factory=dict)
    classes: tuple[str | int, ...] | None = None
    optional: Train | None = None
    validate_: Train = Field(Train(), alias="validate")


def refusal(text: str) -> str:
    with pytest.raises(UserError) as error:
        parse(Root, text)
    return str(error.value)


@pytest.mark.parametrize(
    "received, sentence",
    [
        ({"trian": {}}, "trian is not a known key; did you mean train?"),
        (
            {"zzz": 1},
            "zzz is not a known key; the keys allowed here are classes, columns, network, optional, towers, train",
        ),
        ({"validte": {}}, "validte is not a known key; did you mean validate?"),
        ({"train": {"batchsize": 1}}, "train.batchsize is not a known key; did you mean batch_size?"),
        ({"optional": {"batchsize": 1}}, "optional.batchsize is not a known key; did you mean batch_size?"),
        ({"validate": {"batchsize": 1}}, "validate.batchsize is not a known key; did you mean batch_size?"),
        (
            {"network": {"kind": "mlp", "hiden_units": []}},
            "network.hiden_units is not a known key; did you mean hidden_",
        ),
        (
            {"towers": [{"kind": "mlp"}, {"kind": "linear", "l3": 1}]},
            "towers.1.l3 is not a known key; the keys allowed here are kind, l2",
        ),
        (
            {"columns": {"age": {"type": "float", "unti": ""}}},
            "columns.age.unti is not a known key; did you mean unit?",
        ),
        ({"columns": {"type": {"type": "float", "unti": ""}}}, "columns.type.unti is not a known key"),
    ],
)
def test_unknown_keys_come_with_a_remedy(received, sentence):
    assert refusal(json.dumps(received)).startswith(sentence)


@pytest.mark.parametrize(
    "received, sentence",
    [
        ({"train": {"batch_size": 0}}, "train.batch_size is 0; it must be greater than 0"),
        ({"train": {"batch_size": "many"}}, 'train.batch_size is "many"; it must be an integer'),
        ({"train": {"batch_size": 1.5}}, "train.batch_size is 1.5; it must be an integer"),
        ({"train": {"batch_size": True}}, "train.batch_size is true; it must be an integer"),
        ({"train": {"learning_rate": None}}, "train.learning_rate is null; it must be a number"),
        ({"train": {"recipes": []}}, "train.recipes is []; it must have at least 1 item"),
        ({"train": {"recipes": "int8"}}, 'train.recipes is "int8"; it must be a list'),
        ({"train": {"recipes": ["int9"]}}, "train.recipes.0 is \"int9\"; it must be 'float32' or 'int8'"),
        ({"train": {"clip": [1]}}, "train.clip.1 is missing; add it"),
        ({"train": 3}, "train is 3; it must be a mapping"),
        ({"train": None}, "train is null; it must be a mapping"),
        ([], "the configuration is []; it must be a mapping"),
        ({"classes": [1.5]}, "classes.0 is 1.5; it must be a string or an integer"),
        ({"columns": {"age": "flaot"}}, "columns.age is \"flaot\"; it must be 'string' or 'float'"),
        ({"columns": {"age": {"unit": "year"}}}, "columns.age.type is missing; add it"),
        ({"columns": {"age": 7}}, "columns.age is 7; it must be a mapping"),
        ({"columns": []}, "columns is []; it must be a mapping"),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(received, sentence):
    assert refusal(json.dumps(received)) == sentence


@pytest.mark.parametrize(
    "received, sentence",
    [
        ({"network": {"kind": "mpl"}}, 'network.kind is "mpl"; it must be one of mlp, linear'),
        ({"network": {"hidden_units": [3]}}, "network.kind is missing; it must be one of mlp, linear"),
        ({"towers": [{"kind": 3}]}, "towers.0.kind is 3; it must be one of mlp, linear"),
        ({"network": "mlp"}, 'network is "mlp"; it must be a mapping'),
        ({"network": {"kind": "mlp", "hidden_units": ["x"]}}, 'network.hidden_units.0 is "x"; it must be an integer'),
        ({"network": {"kind": "linear", "l2": 2}}, "network: l2 is 2.0, which leaves nothing; take 1 or less"),
    ],
)
def test_unions_are_named_by_their_key(received, sentence):
    assert refusal(json.dumps(received)) == sentence


def test_not_a_number_is_refused():
    assert refusal('{"train": {"learning_rate": NaN}}') == "train.learning_rate is NaN; it must be a finite number"


def test_every_mistake_is_told_at_once():
    text = refusal('{"train": {"batch_size": 0, "learning_rate": -1}, "zzz": 0}')
    assert text.count("; it must be greater than 0") == 2
    assert "zzz is not a known key" in text


def test_long_values_are_cut():
    assert len(refusal(json.dumps({"train": {"batch_size": "x" * 10_000}}))) < 150


def test_known_keys_follow_lists_unions_and_mappings():
    assert known_keys(Root, ["towers", 0, "linear"]) == ["kind", "l2"]
    assert known_keys(Root, ["columns", "age"]) == ["type", "unit"]
    assert known_keys(Root, ["train", "batch_size"]) == []


def test_equal_sections_travel_as_equal_text():
    first, second = (
        parse(Train, '{"batch_size": 3, "clip": [0, 1]}'),
        parse(Train, '{"clip": [0.0, 1], "batch_size": 3}'),
    )
    assert first.to_json() == second.to_json()
    assert parse(Train, first.to_json()) == first
    assert canonical_json({"b": "é", "a": [1]}) == '{"a":[1],"b":"é"}'
