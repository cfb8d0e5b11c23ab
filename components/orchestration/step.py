"""How a function in a `component.py` becomes a KFP component."""

from collections.abc import Callable
from typing import Any

from kfp import dsl

from components.orchestration.images import image


def step(function: Callable[..., Any]) -> Any:
    """Makes a lightweight component that runs in the image of the step of the same name.

    KFP copies the function's text into the task: its body must import what it needs, and its file must not have
    `from __future__ import annotations`.
    """
    return dsl.component(function, base_image=image(function.__name__), install_kfp_package=False)
