"""Reads a record's details, which may lack any key or hold a value of another type: the report never fails on them."""

import math
from typing import Any

from components.report import format as fmt

LONGEST_TEXT = 1000


def number(details: Any, key: str) -> float | None:
    """A finite number, or None."""
    return finite(details.get(key)) if isinstance(details, dict) else None


def finite(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(float(value)) else None
    except OverflowError:
        return None


def text(details: Any, key: str) -> str:
    """Text (a number becomes text), on one line of at most 1,000 characters; empty where there is none."""
    value = details.get(key) if isinstance(details, dict) else None
    return line(value) if isinstance(value, (str, int, float)) else ""


def line(value: Any) -> str:
    """Any value as one line of at most 1,000 characters."""
    return fmt.plain(fmt.clipped(str(value), LONGEST_TEXT)).strip()


def table(details: Any, key: str) -> dict[str, Any]:
    """A mapping; empty where there is none."""
    value = details.get(key) if isinstance(details, dict) else None
    return value if isinstance(value, dict) else {}


def rows(details: Any, key: str) -> list[dict[str, Any]]:
    """A list of mappings; whatever else is in it is left out."""
    return [value for value in items(details, key) if isinstance(value, dict)]


def items(details: Any, key: str) -> list[Any]:
    """A list; empty where there is none."""
    value = details.get(key) if isinstance(details, dict) else None
    return value if isinstance(value, list) else []


def names(details: Any, key: str) -> list[str]:
    """A list of texts."""
    return [line(value) for value in items(details, key)]


def numbers(details: Any, key: str) -> list[float]:
    """A list of finite numbers, with 0 for what is none."""
    return [finite(value) or 0.0 for value in items(details, key)]


def tables(details: Any, key: str) -> dict[str, dict[str, Any]]:
    """A mapping of names to mappings; whatever else is in it is left out."""
    return {line(name): value for name, value in table(details, key).items() if isinstance(value, dict)}


def counts(details: Any, key: str) -> dict[str, float]:
    """A mapping of names to numbers; whatever else is in it is left out."""
    found = {line(name): finite(value) for name, value in table(details, key).items()}
    return {name: value for name, value in found.items() if value is not None}
