"""Reads small JSON files of a work directory, many at once: each is a round trip on an object store."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from components.storage.storage import Storage

AT_ONCE = 16
SLICE = 1000
"""A store may hold 100,000 of them: only so many wait to be used."""


def read_object(storage: Storage, key: str) -> dict[str, Any]:
    """A JSON object; empty where it cannot be read."""
    try:
        value = json.loads(storage.read(key))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_objects(storage: Storage, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """JSON objects, in the order of their keys; empty where one cannot be read."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, len(keys), SLICE):
            yield from pool.map(lambda key: read_object(storage, key), keys[start : start + SLICE])
