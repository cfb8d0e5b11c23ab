"""`boolean`: true or false as one float."""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from components.features.columns import MISSING_INTEGER, Data, RawBatch
from components.features.declaration import Feature, Learned, PlainForm, check_type, no_ids


class Boolean(Feature):
    """One float: 0 false, 1 true."""

    kind: Literal["boolean"] = "boolean"
    column: str = Field(description="column to read: boolean")
    missing: float = Field(0.5, ge=0, le=1, description="float that stands for a missing value, from 0 to 1")

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def float_width(self) -> int:
        """One float."""
        return 1

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:  # noqa: ARG002
        """No ids."""
        return ()

    def check(self, data: Data) -> None:
        """Needs a boolean column."""
        check_type(data, self.column, ("boolean",))

    def plain(self, learned: Learned) -> PlainForm:  # noqa: ARG002
        """The feature in numpy."""
        return partial(_plain, self)


def _plain(feature: Boolean, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    values = raw[feature.column]
    floats = np.where(values == MISSING_INTEGER, feature.missing, values).astype(np.float32)
    return floats[:, None], no_ids(len(values))
