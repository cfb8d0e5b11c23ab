"""What drawing a pipeline needs beside KFP's own language."""

import hashlib
from typing import Any

from kfp import kubernetes

from components.artifacts import RUN_VARIABLE
from components.config import ModelConfig
from components.orchestration.images import content_hash

TRAINING_STEPS = ("preprocess", "train")


def training_digest(config: ModelConfig) -> str:
    """Digest of the configuration and the code that a trained model depends on; a change is worth a retraining."""
    parts = [part for step in TRAINING_STEPS for part in (config.for_step(step), content_hash(step))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def uncached(task: Any) -> Any:
    """A task that always runs: it reads or moves what is outside of the pipeline's artifacts."""
    return task.set_caching_options(False)


def name_runs(tasks: list[Any]) -> None:
    """Tells each task on a cluster the name of its run.

    By environment variable: KFP's cache does not look at those, and a parameter would make every step miss it.
    """
    for task in tasks:
        kubernetes.use_field_path_as_env(task, RUN_VARIABLE, "metadata.labels['pipeline/runid']")
