"""Instances of a request → rows of values, as fast as JSON allows.

msgspec checks types while it parses. What it accepts, `rows.values_of` accepts with the same values; what it refuses
goes to `values_of`, which accepts rarer forms and names what is wrong.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from components.features.columns import MISSING_INTEGER, ColumnType, Data
from components.features.rows import values_of
from components.features.values import Row

_VALUES: dict[ColumnType, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(gt=MISSING_INTEGER, le=2**63 - 1)],
    "float": float,
    "boolean": bool,
    "timestamp": Annotated[datetime, msgspec.Meta(tz=False)],
    "image": bytes,
}


class InstanceReader:
    """Reads the instances of one model's requests.

    Attributes:
        row_type: the msgspec type of one instance; a field that is absent or null is missing.
        columns_type: the msgspec type of instances by column; an absent column is None.
    """

    def __init__(self, data: Data, names: Sequence[str]) -> None:
        """Makes the types.

        Args:
            data: declares the fields that an instance may have.
            names: the fields that are read, in the order of a row's values.
        """
        self._data, self._names = data, names
        self._has_images = any(data.columns[name].type == "image" for name in names)
        self._fields = [*names, *(name for name in data.columns if name not in names)]
        fields = {f"field_{index}": name for index, name in enumerate(self._fields)}  # a column may have any name
        types = {field: _VALUES[data.columns[name].type] | None for field, name in fields.items()}
        self.row_type = _struct("Instance", types, fields)
        lists: dict[str, Any] = {field: list[kind] | None for field, kind in types.items()}  # type: ignore[valid-type]
        self.columns_type = _struct("Columns", lists, fields)

    def rows(self, instances: Sequence[msgspec.Struct]) -> list[Row]:
        """The rows of parsed instances (`row_type`)."""
        count = len(self._names)
        rows = [msgspec.structs.astuple(instance)[:count] for instance in instances]
        return _without_empty(rows) if self._has_images else rows

    def rows_of_columns(self, columns: msgspec.Struct) -> list[Row]:
        """The rows of parsed columns (`columns_type`).

        Raises:
            ValueError: the columns are not of equal length, or there is none.
        """
        given = [column for column in msgspec.structs.astuple(columns) if column is not None]
        if not given or any(len(column) != len(given[0]) for column in given):
            raise ValueError("columns must have the same number of values, one at least")
        absent = [None] * len(given[0])
        read = msgspec.structs.astuple(columns)[: len(self._names)]
        rows = list(zip(*[absent if column is None else column for column in read]))
        return _without_empty(rows) if self._has_images else rows

    def instance(self, parsed: msgspec.Struct) -> dict[str, Any]:
        """A parsed instance (`row_type`) as JSON values, without the fields that are missing."""
        return self._present(msgspec.structs.astuple(parsed))

    def instance_of_columns(self, parsed: msgspec.Struct, index: int) -> dict[str, Any]:
        """One instance of parsed columns (`columns_type`), as `instance` gives it."""
        columns = msgspec.structs.astuple(parsed)
        return self._present([None if column is None else column[index] for column in columns])

    def _present(self, values: Sequence[Any]) -> dict[str, Any]:
        fields = zip(self._fields, values)
        return {name: msgspec.to_builtins(value) for name, value in fields if value is not None}

    def from_json(self, instances: Sequence[Mapping[str, Any]]) -> list[Row]:
        """The rows of plain instances; errors as `rows.values_of`."""
        return list(zip(*values_of(instances, self._data, self._names)))


def _without_empty(rows: list[Row]) -> list[Row]:
    """The rows; an image without bytes is missing."""
    return [tuple(None if value == b"" else value for value in row) for row in rows]


def _struct(name: str, types: Mapping[str, Any], names: Mapping[str, str]) -> type[msgspec.Struct]:
    fields = [(field, kind, None) for field, kind in types.items()]
    return msgspec.defstruct(name, fields, rename=dict(names), forbid_unknown_fields=True, gc=False)
