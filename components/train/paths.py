"""What a training process reads and writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """All processes of a training see the same folders."""

    examples: Path
    """Artifact of preprocess."""
    base: Path
    """The version to start from; an empty folder where there is none."""
    scratch: Path
    """Of this very training; goes when its result is taken over."""
    log: Path
    """For TensorBoard."""

    @property
    def checkpoint(self) -> Path:
        """How far the training is."""
        return self.scratch / "checkpoint"

    @property
    def result(self) -> Path:
        """What the chief leaves: the artifact `model` without records."""
        return self.scratch / "result"

    @property
    def arithmetic(self) -> Path:
        """What a process computes with."""
        return self.scratch / "arithmetic.json"

    def cached(self, process: int, parts: tuple[str, ...]) -> Path:
        """Examples that a process keeps on disk."""
        return self.scratch / "cache" / f"{process}-{'-'.join(parts)}"
