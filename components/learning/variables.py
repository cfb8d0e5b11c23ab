"""Values of variables by name: the same names however a strategy places or partitions them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from components.learning.legacy_keras import tf

State = dict[str, np.ndarray]
"""Variable name → value."""
_PART = re.compile(r"/part_(\d+)(?=:|$)")
"""What a parameter server strategy puts behind the name of a variable that it partitions by rows."""


def flat(variables: Iterable[Any]) -> list[tf.Variable]:
    """Variables; in place of a partitioned one, as optimizers hold them, its parts."""
    return [part for variable in variables for part in getattr(variable, "variables", [variable])]


def name_of(variable: tf.Variable) -> str:
    """The name that all parts of a variable share."""
    return _PART.sub("", variable.name)


def read(variables: Iterable[tf.Variable]) -> State:
    """The values; the parts of a partitioned variable are put together."""
    parts: dict[str, list[np.ndarray]] = {}
    for variable in variables:
        parts.setdefault(name_of(variable), []).append(variable.numpy())
    return {name: found[0] if len(found) == 1 else np.concatenate(found) for name, found in parts.items()}


def write(variables: Iterable[tf.Variable], state: Mapping[str, np.ndarray]) -> None:
    """Gives variables their values; a part of a partitioned variable takes its rows.

    Raises:
        KeyError: the state has no value for one.
        ValueError: a value has another shape.
    """
    starts: dict[str, int] = {}
    for variable in variables:
        name = name_of(variable)
        value = state[name]
        if _PART.search(variable.name):
            start = starts.get(name, 0)
            starts[name] = start + int(variable.shape[0])
            value = value[start : starts[name]]
        variable.assign(value)
