"""`cross`: the combination of two to four columns, by hash."""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from components.features.columns import Data, RawBatch
from components.features.declaration import Feature, Learned, PlainForm, ValueId, check_type, no_floats
from components.features.tokens import SEPARATOR, TOKEN_TYPES, TokenIds, hashed_id, tokens


class Cross(Feature):
    """One id: 0 where any of the columns is missing, then the hash buckets."""

    kind: Literal["cross"] = "cross"
    columns: tuple[str, ...] = Field(
        min_length=2, max_length=4, description="columns to combine: string, integer or boolean"
    )
    hash_buckets: int = Field(ge=2, le=10_000_000, description="ids that the combinations share, by hash")

    @model_validator(mode="after")
    def _check(self) -> "Cross":
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise ValueError(f"columns names {name} more than once; name different columns")
        return self

    @property
    def source_columns(self) -> tuple[str, ...]:
        """All the columns."""
        return self.columns

    @property
    def float_width(self) -> int:
        """No floats."""
        return 0

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:  # noqa: ARG002
        """Missing and the buckets."""
        return (1 + self.hash_buckets,)

    def check(self, data: Data) -> None:
        """Needs columns whose values can be told apart."""
        for column in self.columns:
            check_type(data, column, TOKEN_TYPES)

    def plain(self, learned: Learned) -> PlainForm:  # noqa: ARG002
        """The feature in numpy."""
        return partial(_plain, self.columns, TokenIds((), self.hash_buckets))

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:  # noqa: ARG002
        """The id."""
        return (hashed_id(self.hash_buckets),)


def _plain(columns: tuple[str, ...], ids: TokenIds, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    rows = zip(*(tokens(raw[column]) for column in columns))
    joined = ["" if "" in parts else SEPARATOR.join(parts) for parts in rows]
    return no_floats(len(joined)), ids.column(joined)
