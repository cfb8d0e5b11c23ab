"""Request bodies → rows of values, for the protocols that share this: what is legal, and how it is refused."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from components.errors import UserError
from components.serve.answers import RefusalError, bad_request
from components.serve.cache import Row
from components.serve.served_model import ServedModel

decode = msgspec.json.Decoder().decode
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
SMALL_BYTES = 262_144
"""Below it a body cannot hold so many objects that they need much memory."""


def refuse_bombs(body: bytes, max_instances: int) -> None:
    """Refuses a body of many more objects or lists than instances, each a hundred times as large in memory as in text.

    Braces in strings are counted too, so there is room for one in 64 bytes.

    Raises:
        RefusalError: 400.
    """
    most = max_instances + len(body) // 64 + 16
    for opening in (b"{", b"["):
        if len(body) > SMALL_BYTES and body.count(opening) > most:
            raise bad_request(f"the body holds more than {most} {opening.decode()}; send at most {max_instances} rows")


def loads(body: bytes) -> Any:
    """Reads JSON of any shape.

    Raises:
        RefusalError: 400, it is none.
    """
    try:
        return decode(body)
    except NOT_JSON as error:
        raise not_json(error) from None


def not_json(error: Exception) -> RefusalError:
    """The refusal of a body that is no JSON."""
    if isinstance(error, RecursionError):
        return bad_request("the body is nested too deeply; send a flat object for each instance")
    reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return bad_request(f"the body is not valid JSON: {reason}")


def check_count(instances: int, max_instances: int) -> None:
    """Refuses no instances and too many.

    Raises:
        RefusalError: 400, names the limit.
    """
    if not instances:
        raise bad_request("there are no instances; send at least one")
    if instances > max_instances:
        raise bad_request(f"there are {instances} instances; send at most {max_instances} in one request")


def rows_of(model: ServedModel, instances: Any) -> list[Row]:
    """Instances as plain JSON gives them → rows; the definition of what is legal.

    Raises:
        RefusalError: 400, names the instance, the field, the value and the type expected.
    """
    if not isinstance(instances, list):
        raise bad_request(f"instances is {kind(instances)}; it must be a list of objects")
    check_count(len(instances), model.settings.max_instances)
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise bad_request(f"row {index} is {kind(instance)}; it must be an object of fields and values")
    try:
        rows: list[Row] = model.reader.from_json(instances)
        return rows
    except UserError as error:
        raise bad_request(str(error)) from None


def rows_of_columns(model: ServedModel, columns: Mapping[str, Any]) -> list[Row]:
    """Columns of values → rows; null in place of a list, and no list, mean missing in all rows.

    Raises:
        RefusalError: 400, as `rows_of`; or the columns are not lists of one length.
    """
    refuse_long_columns(columns.values(), model.settings.max_instances)
    try:
        parsed = msgspec.convert(columns, model.reader.columns_type)
        rows: list[Row] = model.reader.rows_of_columns(parsed)
    except ValueError:  # and msgspec's ValidationError
        return rows_of(model, instances_of(columns))
    check_count(len(rows), model.settings.max_instances)
    return rows


def refuse_long_columns(columns: Iterable[Any], max_instances: int) -> None:
    """Refuses columns of too many values before rows are made of them, which take a hundred times the memory.

    Raises:
        RefusalError: 400, names the limit.
    """
    longest = max((len(column) for column in columns if isinstance(column, list)), default=0)
    if longest > max_instances:
        check_count(longest, max_instances)


def instances_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns of values → instances.

    Raises:
        RefusalError: 400, the columns are not lists of one length.
    """
    lengths = {}
    for name, values in columns.items():
        if values is None:
            continue
        if not isinstance(values, list):
            raise bad_request(f"the values of {name[:80]} are {kind(values)}; they must be a list, one value a row")
        lengths[name] = len(values)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name[:80]} has {length}" for name, length in list(lengths.items())[:5])
        raise bad_request(f"the columns differ in length: {shown}; send one value a row in each")
    rows = max(lengths.values(), default=0)
    filled = [[None] * rows if values is None else values for values in columns.values()]
    return [dict(zip(columns, row)) for row in zip(*filled)]


def kind(value: Any) -> str:
    """The type of a JSON value, in JSON's words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
