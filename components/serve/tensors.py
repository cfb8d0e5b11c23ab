"""Tensors of the V2 protocol → lists of Python values."""

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from components.features.columns import MISSING_INTEGER, ColumnType
from components.serve.answers import bad_request
from components.serve.requests import kind

_INTEGERS = {
    f"{sign}INT{bits}": f"<{letter}{bits // 8}" for sign, letter in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)
}
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_NUMPY = {**_INTEGERS, **_FLOATS, "BOOL": "|b1"}
LEGAL: Mapping[ColumnType, frozenset[str]] = {
    "string": frozenset(("BYTES",)),
    "integer": frozenset(_INTEGERS),
    "float": frozenset((*_FLOATS, *_INTEGERS)),
    "boolean": frozenset(("BOOL",)),
    "timestamp": frozenset(("BYTES",)),
    "image": frozenset(("BYTES",)),
}
"""Datatypes that a column takes; timestamps are ISO 8601 text."""
METADATA: Mapping[ColumnType, str] = {
    "string": "BYTES",
    "integer": "INT64",
    "float": "FP64",
    "boolean": "BOOL",
    "timestamp": "BYTES",
    "image": "BYTES",
}
"""The datatype that a column has by itself."""


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """One input: `data`, or `binary_data_size` among the parameters."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | UnsetType | None = UNSET


def values(tensor: Tensor, binary: memoryview, max_instances: int, column: ColumnType) -> tuple[list[Any], memoryview]:
    """The values of a tensor of shape (n,) or (n, 1), None where missing.

    Args:
        tensor: the description.
        binary: the bytes behind the JSON that no tensor before this one took.
        max_instances: of one request.
        column: type of the column; images stay bytes, which are text otherwise.

    Returns:
        the values, and the bytes that are left.

    Raises:
        RefusalError: 400, the tensor contradicts itself.
    """
    rows = _rows(tensor, max_instances)
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return _json_values(tensor, rows), binary
    if isinstance(tensor.data, list):
        raise bad_request(f"{tensor.name} has both data and binary_data_size; send one of them")
    if type(size) is not int or not 0 <= size <= len(binary):
        raise bad_request(
            f"binary_data_size of {tensor.name} is {_shown(size)}, and {len(binary)} bytes are left behind the JSON; "
            "send the header Inference-Header-Content-Length and sizes that add up"
        )
    return _binary_values(tensor, bytes(binary[:size]), rows, column), binary[size:]


def _rows(tensor: Tensor, max_instances: int) -> int:
    shape = tensor.shape
    if not 1 <= len(shape) <= 2 or shape[1:] not in ([], [1]) or not 0 <= shape[0] < 2**31:
        raise bad_request(f"the shape of {tensor.name} is {_shape(shape)}; it must be [rows] or [rows, 1]")
    if shape[0] > max_instances:
        raise bad_request(f"the shape of {tensor.name} is {shape}; send at most {max_instances} rows in one request")
    return shape[0]


def _json_values(tensor: Tensor, rows: int) -> list[Any]:
    data = tensor.data
    if not isinstance(data, list):
        raise bad_request(f"{tensor.name} has no data; send it as a list, or binary_data_size")
    if len(tensor.shape) == 2 and any(isinstance(value, list) for value in data):
        data = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in data]
    if len(data) != rows:
        raise bad_request(f"{tensor.name} has {len(data)} values, but its shape is {tensor.shape}; they must agree")
    return data


def _binary_values(tensor: Tensor, raw: bytes, rows: int, column: ColumnType) -> list[Any]:
    found = _bytes(tensor, raw, column == "image") if tensor.datatype == "BYTES" else _numbers(tensor, raw)
    if len(found) != rows:
        raise bad_request(f"{tensor.name} has {len(found)} values, but its shape is {tensor.shape}; they must agree")
    return found


def _numbers(tensor: Tensor, raw: bytes) -> list[Any]:
    dtype = np.dtype(_NUMPY.get(tensor.datatype, "|b1"))
    if len(raw) % dtype.itemsize:
        raise bad_request(f"{tensor.name} has {len(raw)} bytes, no multiple of the {dtype.itemsize} of one value")
    if dtype.kind == "b" and any(byte > 1 for byte in raw):
        raise bad_request(f"{tensor.name} holds bytes other than 0 and 1; BOOL has no others")
    found = np.frombuffer(raw, dtype).tolist()
    if dtype.kind == "f":
        return [None if value != value else value for value in found]
    return [None if value == MISSING_INTEGER else value for value in found]


def _bytes(tensor: Tensor, raw: bytes, are_images: bool) -> list[str | bytes | None]:
    """Each value is its length, 4 bytes little-endian, and that many bytes, of UTF-8 unless it is an image."""
    found: list[str | bytes | None] = []
    start = 0
    try:
        while start < len(raw):
            (length,) = struct.unpack_from("<I", raw, start)
            value = raw[start + 4 : start + 4 + length]
            if len(value) < length:
                raise struct.error
            found.append((value if are_images else value.decode()) or None)
            start += 4 + length
    except struct.error:
        raise bad_request(f"{tensor.name} ends within a value; each is 4 bytes of length and that many bytes") from None
    except UnicodeDecodeError:
        raise bad_request(f"row {len(found)}: {tensor.name} is not UTF-8") from None
    return found


def _shape(sizes: list[int]) -> str:
    return f"a list of {len(sizes)}" if len(sizes) > 4 else f"[{', '.join(map(_shown, sizes))}]"


def _shown(value: Any) -> str:
    """Short, however large it is."""
    if isinstance(value, int):
        return repr(value) if value.bit_length() < 128 else "a huge number"
    return repr(value[:40]) if isinstance(value, str) else kind(value)
