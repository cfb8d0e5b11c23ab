"""`category`: one of many values, by a learned vocabulary or by hash."""

from functools import partial
from typing import Literal, cast

import numpy as np
from pydantic import Field, model_validator

from components.features.columns import Data, RawBatch
from components.features.declaration import (
    Feature,
    Learned,
    Learns,
    PlainForm,
    ValueId,
    Vocabulary,
    check_type,
    no_floats,
)
from components.features.tokens import TOKEN_TYPES, TokenIds, ValueTable, hashed_id, tokens

_OF_VOCABULARY = ("min_count", "max_size", "oov_buckets")


class Category(Feature):
    """One id: 0 missing, then the buckets of values that the vocabulary does not know, then its values.

    With `hash_buckets` there is no vocabulary: 0 missing, then the buckets.
    """

    kind: Literal["category"] = "category"
    column: str = Field(description="column to read: string, integer or boolean")
    min_count: int = Field(5, ge=1, description="rows in which a value must occur to enter the vocabulary")
    max_size: int = Field(100_000, ge=1, description="largest number of values in the vocabulary")
    oov_buckets: int = Field(1, ge=1, le=10_000, description="ids shared by values outside the vocabulary, by hash")
    hash_buckets: int | None = Field(
        None, ge=2, le=10_000_000, description="ids shared by all values, by hash, in place of a vocabulary"
    )

    @model_validator(mode="after")
    def _check(self) -> "Category":
        if self.hash_buckets is None:
            return self
        for name in _OF_VOCABULARY:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} needs a vocabulary, which hash_buckets replaces; remove one of the two")
        return self

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def learns(self) -> Learns:
        """A vocabulary, unless values are hashed."""
        return "vocabulary" if self.hash_buckets is None else "nothing"

    @property
    def float_width(self) -> int:
        """No floats."""
        return 0

    @property
    def buckets(self) -> int:
        """Ids for unknown values; without a vocabulary, every value is unknown."""
        return self.hash_buckets or self.oov_buckets

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:
        """Missing, the buckets, the vocabulary."""
        return (1 + self.buckets + len(known_tokens(self, learned)),)

    def check(self, data: Data) -> None:
        """Needs a column whose values can be told apart."""
        check_type(data, self.column, TOKEN_TYPES)

    def plain(self, learned: Learned) -> PlainForm:
        """The feature in numpy."""
        return partial(_plain, self.column, TokenIds(known_tokens(self, learned), self.buckets))

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:
        """The id; a `ValueTable` where there is a vocabulary."""
        if self.hash_buckets is not None:
            return (hashed_id(self.hash_buckets),)
        return (ValueTable(known_tokens(self, learned), self.buckets, data.columns[self.column].type).__getitem__,)


def known_tokens(feature: Category, learned: Learned) -> tuple[str, ...]:
    """The vocabulary's tokens; none where values are hashed."""
    return cast(Vocabulary, learned).tokens if feature.learns == "vocabulary" else ()


def _plain(column: str, ids: TokenIds, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    return no_floats(len(raw[column])), ids.column(tokens(raw[column]))
