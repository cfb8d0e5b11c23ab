"""What drawing a pipeline needs beside KFP's own language."""

import hashlib
from collections.abc import Callable
from typing import Any

from components.config import ModelConfig
from components.orchestration.images import content_hash, image
from components.schema import canonical_json

Draw = Callable[..., Any]
"""Makes the KFP pipeline of a model, given the default of its parameter `work_uri` and, for a cluster, a placement."""
DEFAULT_WORK = ".evergreen"
TRAINING_STEPS = ("preprocess", "train")
CHOICE_SECTIONS = ("compress", "evaluate")
MODEL_STEPS = (*TRAINING_STEPS, "compress", "evaluate")


def origin(config: ModelConfig) -> str:
    """What a version's lineage says about the description and the code that made it, as JSON."""
    return canonical_json(
        {"training_digest": training_digest(config), "images": {step: image(step) for step in MODEL_STEPS}}
    )


def training_digest(config: ModelConfig) -> str:
    """Digest of what the model in service depends on; a change of it is worth a run.

    That is the configuration and the code that training depends on, and the configuration of how variants are made,
    judged and put into service: where only the latter changed, training comes from the cache. The engine that
    preprocess runs on is not among it: all make the same examples.
    """
    config = config.model_copy(update={"preprocess": config.preprocess.without_engine()})
    parts = [part for step in TRAINING_STEPS for part in (config.for_step(step), content_hash(step))]
    parts += [getattr(config, section).to_json() for section in CHOICE_SECTIONS]
    parts.append(config.deploy.pointer)  # where on a cluster it serves makes no other model
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
