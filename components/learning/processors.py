"""How many processor cores a process has."""

import os
from collections.abc import Iterator

from components.learning import control_group


def available_cores() -> float:
    """The machine's cores, or what the process's control group may use of them, as in a container."""
    return min([float(os.cpu_count() or 1), *_quotas()])


def _quotas() -> Iterator[float]:
    # Version 1 keeps quota and period in two files; there the machine's cores are counted.
    for limit in control_group.limits("cpu", "cpu.max", ""):
        quota, _, period = limit.partition(" ")
        if quota.isdecimal() and period.isdecimal():  # "max" where there is no limit
            yield int(quota) / int(period)
