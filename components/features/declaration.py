"""What every feature kind declares, and what can be learned for it from data.

A kind has three faces. `<kind>.py` holds the declaration (a class below `Feature`) and the plain form in numpy;
`<kind>_tf.py` holds the TensorFlow form. Both forms are pure functions of the raw batch and of the learned constants.
Ids: 0 is always "missing", then the out-of-vocabulary buckets, then the known values, so that a vocabulary can grow at
its end without moving an id.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from components.features.columns import ColumnType, Data, RawBatch
from components.schema import Section

Learns = Literal["nothing", "moments", "bounds", "vocabulary"]
MISSING_ID = 0
REMEMBERED = 16_384
"""Values met last for which a feature keeps what was costly to compute: a few megabytes at most."""


@dataclass(frozen=True)
class Nothing:
    """Learned by kinds that need nothing from the data."""


@dataclass(frozen=True)
class Moments:
    """Moments of a numeric feature's prepared values, missing ones left out; all zero where every value is missing."""

    mean: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Bounds:
    """Inner bounds of quantile buckets, ascending and distinct: n bounds make n + 1 buckets."""

    bounds: tuple[float, ...]
    quantiles: tuple[int, ...] = ()
    """How many of the quantiles each bound is: more than 1 where many values are equal. Empty: 1 each."""


@dataclass(frozen=True)
class Vocabulary:
    """Known tokens in the order of their ids, and in how many rows each was seen."""

    tokens: tuple[str, ...]
    counts: tuple[int, ...]
    rare: tuple[tuple[str, int], ...] = ()
    """Tokens seen too rarely to be known yet, in how many rows, the most frequent first: a warm start counts on."""


Learned = Nothing | Moments | Bounds | Vocabulary
LEARNED: dict[Learns, type[Learned]] = {
    "nothing": Nothing,
    "moments": Moments,
    "bounds": Bounds,
    "vocabulary": Vocabulary,
}
Constants = dict[str, Learned]
"""Feature name → what was learned for it. Every declared feature has an entry."""
PlainForm = Callable[[RawBatch], tuple[np.ndarray, np.ndarray]]
"""A feature in numpy: raw columns of shape (batch,) → floats (batch, float_width) float32, ids (batch, ids) int32."""
ValueId = Callable[[Any], int]
"""One id of a feature in one row: the value of its source column, or the tuple of values where it has several → the id.

Values as requests bring them: str, int, float, bool, datetime without zone; None where missing.
"""


class Feature(Section):
    """One declared feature: raw columns in, `float_width` floats and one id for each entry of `id_sizes` out."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="name of the feature, unique in the model")

    @property
    @abstractmethod
    def source_columns(self) -> tuple[str, ...]:
        """Raw columns that the feature reads."""

    @property
    def learns(self) -> Learns:
        """What must be learned from the data before the feature can be computed."""
        return "nothing"

    @property
    @abstractmethod
    def float_width(self) -> int:
        """How many floats the feature gives."""

    @abstractmethod
    def id_sizes(self, learned: Learned) -> tuple[int, ...]:
        """For each id that the feature gives, how many different ids there are."""

    @abstractmethod
    def check(self, data: Data) -> None:
        """Refuses columns that are not declared or have a type that the kind cannot read.

        Raises:
            ValueError: names the column, its type and the types allowed.
        """

    @abstractmethod
    def plain(self, learned: Learned) -> PlainForm:
        """The feature in numpy; tables are built here, once, and not in each call.

        Args:
            learned: what was learned for this feature.

        Returns:
            A picklable function of a raw batch that has at least `source_columns`.
        """

    @abstractmethod
    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:
        """The feature's ids from Python values, one function for each entry of `id_sizes`; fast for a single row."""


def check_type(data: Data, column: str, allowed: Sequence[ColumnType]) -> None:
    """Refuses a column that is not declared or whose type is not among `allowed`.

    Raises:
        ValueError: names the column, its type and the types allowed.
    """
    if column not in data.columns:
        raise ValueError(f"column {column} is not in data.columns; declare it there")
    kind = data.columns[column].type
    if kind not in allowed:
        raise ValueError(f"column {column} has type {kind}; it must be {' or '.join(allowed)}")


def float_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """The feature that each column of the packed floats comes from."""
    return tuple(feature.name for feature in features for _ in range(feature.float_width))


def id_names(features: Sequence[Feature], constants: Constants) -> tuple[str, ...]:
    """The feature that each column of the packed ids comes from."""
    return tuple(feature.name for feature in features for _ in feature.id_sizes(constants[feature.name]))


def id_sizes(features: Sequence[Feature], constants: Constants) -> tuple[int, ...]:
    """The number of different ids in each column of the packed ids."""
    return tuple(size for feature in features for size in feature.id_sizes(constants[feature.name]))


def no_floats(rows: int) -> np.ndarray:
    """The floats of a feature that gives none: shape (rows, 0) float32."""
    return np.empty((rows, 0), np.float32)


def no_ids(rows: int) -> np.ndarray:
    """The ids of a feature that gives none: shape (rows, 0) int32."""
    return np.empty((rows, 0), np.int32)
