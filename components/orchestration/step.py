"""How a function in a `component.py` becomes a KFP component."""

from collections.abc import Callable
from typing import Any

from kfp import dsl, kubernetes

from components.artifacts import RUN_VARIABLE
from components.orchestration.images import image


def step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a lightweight component that runs in the image of the step of the same name.

    KFP copies the function's text into the task: its body must import what it needs, and its file must not have
    `from __future__ import annotations`.

    On a cluster each task learns the name of its run from its pod's label, by environment variable: KFP's cache does
    not look at those, and a parameter that differs in every run would make every step miss the cache.
    """
    component = dsl.component(function, base_image=image(function.__name__), install_kfp_package=False)

    def task(**inputs: Any) -> Any:
        return kubernetes.use_field_path_as_env(component(**inputs), RUN_VARIABLE, "metadata.labels['pipeline/runid']")

    return task


def uncached_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """A step that always runs: it reads, measures or moves what lies outside of the pipeline's artifacts.

    Neither the local runner nor a cluster then computes a key for it, or keeps its outputs for later runs. Steps after
    it hit all the same where what it hands them is equal: a string of the same value, a folder of the same name.
    """
    make = step(function)

    def task(**inputs: Any) -> Any:
        return make(**inputs).set_caching_options(False)

    return task
