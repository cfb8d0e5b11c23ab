"""What drawing a pipeline needs beside KFP's own language."""

import hashlib

from components.config import ModelConfig
from components.orchestration.images import content_hash, image
from components.schema import canonical_json

TRAINING_STEPS = ("preprocess", "train")
MODEL_STEPS = (*TRAINING_STEPS, "compress", "evaluate")


def origin(config: ModelConfig) -> str:
    """What a version's lineage says about the description and the code that made it, as JSON."""
    return canonical_json(
        {"training_digest": training_digest(config), "images": {step: image(step) for step in MODEL_STEPS}}
    )


def training_digest(config: ModelConfig) -> str:
    """Digest of the configuration and the code that a trained model depends on; a change is worth a retraining."""
    parts = [part for step in TRAINING_STEPS for part in (config.for_step(step), content_hash(step))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
