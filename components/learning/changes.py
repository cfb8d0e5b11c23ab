"""What differs between two networks, as far as weights depend on it. Without TensorFlow."""

from pathlib import Path

from pydantic import TypeAdapter

from components import artifacts
from components.learning.config import Network

REGULARISATION = frozenset({"dropout", "embedding_dropout", "l2"})
"""Settings that change how weights are trained, but not which there are: another value fits the same weights."""


def read_network(folder: Path) -> Network:
    """The network of the version in a folder."""
    raw = artifacts.read_json(folder / artifacts.NETWORK)["network"]
    return TypeAdapter(Network).validate_python(raw, strict=False)


def changes(network: Network, base: Network) -> str:
    """Names each setting for which the base's weights do not fit, with both values; "" where all do."""
    if network.kind != base.kind:
        return f"network.kind is {network.kind} and was {base.kind}"
    now, before = network.model_dump(mode="json"), base.model_dump(mode="json")
    changed = [key for key in now if key not in REGULARISATION and now[key] != before[key]]
    return ", ".join(f"network.{key} is {now[key]} and was {before[key]}" for key in changed)
