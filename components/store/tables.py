"""The store's overview as tables for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text


def overview_table(model: str, versions: Sequence[Mapping[str, Any]]) -> Table:
    """One line a version, as `overview.overview` gives them."""
    total = sum(version["bytes"] for version in versions)
    table = Table(
        title=f"Versions of {model}",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_footer=len(versions) > 1,
    )
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("created (UTC)", overflow="fold")
    table.add_column("recipe", overflow="fold")
    table.add_column("size", decimal(total), justify="right", no_wrap=True)
    table.add_column("metric", overflow="fold")
    table.add_column("state", overflow="fold")
    for version in versions:
        style = "bold green" if "serving" in version["pointers"] else ""
        cells = [str(version["number"]), _time(version["created"]), version["recipe"] or "", decimal(version["bytes"])]
        table.add_row(*(Text(cell) for cell in (*cells, _metric(version), _state(version))), style=style)
    return table


def description_table(model: str, version: Mapping[str, Any]) -> Table:
    """One version, as `overview.description` gives it."""
    lineage = version["lineage"]
    partitions = lineage.get("partitions", [])
    table = Table(
        title=f"{model} version {version['number']}",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=False,
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("state", _state(version)),
        ("created", _time(version["created"])),
        ("recipe", version["recipe"]),
        ("size", decimal(version["bytes"])),
        ("metric", _metric(version)),
        ("why", version["metrics"].get("reason")),
        ("parent", lineage.get("parent")),
        ("base", lineage.get("base")),
        ("replaces", lineage.get("replaces")),
        ("trained until", _seconds(lineage.get("trained_until"))),
        ("snapshot", lineage.get("snapshot")),
        ("partitions", len(partitions) if isinstance(partitions, list) else partitions),
        ("training digest", lineage.get("training_digest")),
        ("run", lineage.get("run")),
        ("where", version["address"]),
    ):
        table.add_row(name, Text("none" if value is None or value == "" else str(value)))
    return table


def _state(version: Mapping[str, Any]) -> str:
    words = list(version["pointers"])
    if version["pin"] is not None:
        words.append(f"pinned: {version['pin']}")
    if version["withdrawn"]:
        words.append("withdrawn")
    return ", ".join(words)


def _metric(version: Mapping[str, Any]) -> str:
    return "" if version["value"] is None else f"{version['metric']} {version['value']:.4g}"


def _time(text: str | None) -> str:
    """An ISO time in UTC, to the minute."""
    return (text or "")[:16].replace("T", " ")


def _seconds(time_s: Any) -> str:
    """As `_time`; what is no time as it is."""
    try:
        return _time(datetime.fromtimestamp(time_s, timezone.utc).isoformat())
    except (TypeError, ValueError, ArithmeticError, OSError):
        return "" if time_s is None else str(time_s)
