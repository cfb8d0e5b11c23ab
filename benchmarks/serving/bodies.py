"""Requests made of the flights' own rows: the same bodies go to every server."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

MODEL = "flights"
PATH = f"/v1/models/{MODEL}:predict"
Row = dict[str, Any]


def flights_rows(work: Path, columns: Sequence[str], most: int) -> list[Row]:
    """Rows spread over all partitions of a work directory, as a client sends them.

    Args:
        work: holds the flights as ingest leaves them.
        columns: the raw columns wanted; a missing value is None, a timestamp ISO 8601 text.
        most: rows at most.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((work / "data" / MODEL / "partitions").glob("*/rows.parquet"))
    table = pa.concat_tables([pq.read_table(path, columns=list(columns)) for path in files])
    step = max(1, table.num_rows // most)
    rows = table.take(list(range(0, table.num_rows, step))[:most]).select(list(columns)).to_pylist()
    return [{name: _json_value(value) for name, value in row.items()} for row in rows]


def _json_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def as_rows(rows: Sequence[Row]) -> bytes:
    """A body of row dicts."""
    return _json({"instances": list(rows)})


def as_columns(rows: Sequence[Row]) -> bytes:
    """A body of columns."""
    return _json({"inputs": {name: [row[name] for row in rows] for name in rows[0]}})


def batched(rows: Sequence[Row], size: int, body: Callable[[Sequence[Row]], bytes]) -> list[bytes]:
    """Bodies of `size` rows each; rows that make no whole body are left out."""
    remaining = iter(rows)
    chunks = iter(lambda: list(islice(remaining, size)), [])
    return [body(chunk) for chunk in chunks if len(chunk) == size]


def http_request(body: bytes) -> bytes:
    """The POST request of a body, as it goes over the wire."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
