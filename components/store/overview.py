"""What the store's commands tell about the versions of a model."""

import json
from collections import Counter
from typing import Any

from components import artifacts
from components.store.pointers import Pointer
from components.store.store import ModelStore
from components.store.version import Version, number_of


def overview(store: ModelStore) -> list[dict[str, Any]]:
    """All versions, oldest first, as `summary` gives them.

    Raises:
        UserError: a pointer or the pins are damaged.
    """
    named, sizes = _Named(store), _sizes(store)
    return [named.summary(version, sizes[version.number]) for version in store.versions()]


def description(store: ModelStore, version: Version) -> dict[str, Any]:
    """One version as in `overview`, with `address`, `lineage` and `metrics` (what evaluate found)."""
    return {
        **_Named(store).summary(version, _sizes(store)[version.number]),
        "address": str(version.location),
        "lineage": _read(version, artifacts.LINEAGE),
        "metrics": _read(version, artifacts.METRICS),
    }


class _Named:
    """What names the versions of a store, read once."""

    def __init__(self, store: ModelStore) -> None:
        names: tuple[Pointer, ...] = ("serving", "previous", "candidate")
        self._pointers = {name: store.number(name) for name in names}
        self._pins = store.pins()
        self._withdrawn = store.withdrawn()

    def summary(self, version: Version, size: int) -> dict[str, Any]:
        """Number, created, recipe, bytes, metric, value, pointers, pin, withdrawn; null where it is not known."""
        lineage, metrics = _read(version, artifacts.LINEAGE), _read(version, artifacts.METRICS)
        return {
            "number": version.number,
            "created": _text(lineage.get("created")),
            "recipe": _text(lineage.get("recipe")),
            "bytes": size,
            "metric": _text(metrics.get("metric")),
            "value": _value(metrics),
            "pointers": [name for name, number in self._pointers.items() if number == version.number],
            "pin": self._pins.get(version.number),
            "withdrawn": version.number in self._withdrawn,
        }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _value(metrics: dict[str, Any]) -> float | None:
    """The metric of the variant that was deployed."""
    variants = metrics.get("variants")
    for variant in variants if isinstance(variants, list) else ():
        if isinstance(variant, dict) and variant.get("recipe") == metrics.get("chosen"):
            found = variant.get("metrics")
            value = found.get(str(metrics.get("metric"))) if isinstance(found, dict) else None
            return value if isinstance(value, int | float) else None
    return None


def _read(version: Version, name: str) -> dict[str, Any]:
    """One of a version's JSON files; empty where it cannot be read, so that the other versions are told about."""
    try:
        value = json.loads(version.read(name))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _sizes(store: ModelStore) -> Counter[int]:
    """Bytes by version, from one listing."""
    sizes: Counter[int] = Counter()
    prefix = f"{store.prefix}/versions"
    for entry in store.storage.entries(prefix):
        number = entry.key[len(prefix) + 1 :].partition("/")[0]
        if (found := number_of(number)) is not None:
            sizes[found] += entry.bytes
    return sizes
