"""The share of an epoch's time that is lost to input.

What the step trains on (`components/learning/material.py`) beside one batch that is taken again and again, both
through the same steps of one `Loop`, epoch by epoch in turns: the share is the median over the pairs, because the
machine's speed drifts by more than what is measured. The TFRecords are opened when a training opens them: before it
builds its network.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.claims import Claim, at_most
from benchmarks.training.flights import ALL_MONTHS, Flights, train_config
from components.artifacts import Examples
from components.learning.input import BEGINNING, Position, Reader, Share, from_columns
from components.learning.legacy_keras import tf
from components.learning.loop import STEPS_PER_CALL, Loop, Material, Rate
from components.learning.material import Materials
from components.learning.networks import NetworkSpec
from components.learning.place import take

BATCHES = (512, 2048)
LATER_EPOCHS = 16
MAX_FIRST, MAX_LATER = 0.35, 0.05
RATE = Rate(1e-3)
SEED = 0


@dataclass
class Times:
    """Seconds of an epoch, each round."""

    batch: int
    rows: int
    first: list[tuple[float, float]] = field(default_factory=list)
    """Of real input, and of the repeated batch right before it."""
    later: list[tuple[float, float]] = field(default_factory=list)

    @staticmethod
    def lost(pairs: list[tuple[float, float]]) -> float:
        """Share of an epoch's time that the repeated batch does not need: the median of the pairs."""
        return float(np.median([1 - repeated / real for real, repeated in pairs]))


def measure(flights: Flights, rounds: int) -> tuple[list[Table], list[Claim]]:
    """Epochs of real and of repeated input in turns."""
    folder = flights.examples("all", ALL_MONTHS)
    found = [_times(folder, batch, rounds) for batch in BATCHES]
    claims = []
    for times in found:
        claims += [
            at_most(f"input, batch {times.batch}, first epoch", times.lost(times.first), MAX_FIRST, ".1%"),
            at_most(f"input, batch {times.batch}, later epochs", times.lost(times.later), MAX_LATER, ".1%"),
        ]
    return [_table(found)], claims


def _times(folder: Path, batch: int, rounds: int) -> Times:
    examples, config, place = Examples.read(folder), train_config(batch_size=batch, cache="memory"), take("single")
    some = Reader(folder, examples, ("train",)).columns(batch)

    def repeated(_share: Share, sizes: np.ndarray, position: Position) -> tf.data.Dataset:
        return from_columns(some, sizes, SEED, position).take(1).cache().repeat()

    times = Times(batch, examples.rows["train"])
    for _ in range(rounds):
        # As in a training: reading begins, the network is built and traced, the first epoch takes what is read.
        real = Materials(folder, examples, config.train, place, folder / "cache").of("train")
        loop = Loop(NetworkSpec.of(config.network, examples), place, SEED)
        again = loop.batches(Material(repeated, real.rows, real.steps), BEGINNING)
        loop.take(again, 1, RATE)
        repeated_s, start_s = _epoch(loop, again, real.steps), time.perf_counter()
        batches = loop.batches(real, BEGINNING)
        _epoch(loop, batches, real.steps)
        times.first.append((time.perf_counter() - start_s, repeated_s))
        for _ in range(LATER_EPOCHS):
            repeated_s = _epoch(loop, again, real.steps)
            times.later.append((_epoch(loop, batches, real.steps), repeated_s))
    return times


def _epoch(loop: Loop, batches: Iterator[Any], steps: int) -> float:
    start_s = time.perf_counter()
    for done in range(0, steps, STEPS_PER_CALL):
        loop.take(batches, min(STEPS_PER_CALL, steps - done), RATE)
    return time.perf_counter() - start_s


def _table(found: list[Times]) -> Table:
    table = Table("batch", "one batch again: examples/s", "first epoch", "lost", "later epochs", "lost")
    table.title = "input: medians of epochs in pairs"
    for times in found:
        repeated_s = float(np.median([repeated for _, repeated in times.later]))
        cells = [f"{times.rows / repeated_s:,.0f}"]
        for pairs in (times.first, times.later):
            real_s = float(np.median([real for real, _ in pairs]))
            cells += [f"{times.rows / real_s:,.0f}", f"{times.lost(pairs):.1%}"]
        table.add_row(str(times.batch), *cells)
    return table
