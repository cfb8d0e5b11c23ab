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
    def config(self) -> Path:
        """JSON of the sections that a training process reads."""
        return self.scratch / "config.json"

    @property
    def command(self) -> list[str]:
        """What starts a training process, after `python`."""
        folders = {"examples": self.examples, "base": self.base, "scratch": self.scratch, "log": self.log}
        named = [part for name, folder in folders.items() for part in (f"--{name}", str(folder))]
        return ["-m", "components.train", "--config", str(self.config), *named]

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

    @property
    def cache(self) -> Path:
        """Examples that processes keep on disk."""
        return self.scratch / "cache"
