"""`python -m components.train` that notes every step and every checkpoint in a file, which outlives a kill.

    python -m benchmarks.training.counted FILE --examples DIR …

A line for each event: when it ended (`time.monotonic`), `begun` (of the first batch), `steps` or `saved`, and the
number of steps.
"""

import os
import runpy
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from components.learning.checkpoint import Checkpoint
from components.learning.input import Position
from components.learning.loop import Loop, Material, Rate


def main() -> None:
    """Puts notes around two methods, then is the training process."""
    file = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    take, save, batches = Loop.take, Checkpoint.save, Loop.batches

    def note(event: str, steps: int) -> None:
        os.write(file, f"{time.monotonic()} {event} {steps}\n".encode())

    def noted_batches(self: Loop, material: Material, position: Position) -> Iterator[Any]:
        found = batches(self, material, position)
        note("begun", 0)
        return found

    def noted_take(self: Loop, of: Iterator[Any], steps: int, rate: Rate) -> float:
        loss = take(self, of, steps, rate)
        note("steps", steps)
        return loss

    def noted_save(self: Checkpoint, progress: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        save(self, progress, changed)
        note("saved", 0)

    Loop.take, Loop.batches, Checkpoint.save = noted_take, noted_batches, noted_save  # type: ignore[method-assign, assignment]
    runpy.run_module("components.train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
