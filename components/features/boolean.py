"""`boolean`: true or false as one float."""

from typing import Literal

from pydantic import Field

from components.features.columns import Data
from components.features.declaration import Feature, Learned, PlainForm, ValueId, check_type
from components.features.numbers import Number, Scaling, plain_number


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

    def plain(self, learned: Learned) -> PlainForm:
        """The feature in numpy."""
        return plain_number(self.number(learned))

    def number(self, learned: Learned) -> Number:  # noqa: ARG002
        """The feature's float."""
        return Number(self.column, None, False, Scaling(0.0, 1.0, 0.0, 1.0, self.missing), False)

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:  # noqa: ARG002
        """No ids."""
        return ()
