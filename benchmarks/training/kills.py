"""Training processes that are killed at random moments, and what each kill costs.

A training is run once undisturbed. Then it is run again and again, killed (SIGKILL) at a random moment of its start-up
(one time in four) or of the time from its first step on, in which it trains, validates or writes, and started anew
until it is done; a training that is done is compared and the next begun, until there were KILLS kills. With
`deterministic` its weights, its optimizer's state and all its metrics must be those of the undisturbed one, bit for
bit.

What a kill costs are the steps done since the last checkpoint, or since the process began to train where it had not
saved one yet: these are trained again. They are compared with those that such a process does in one checkpoint
interval at the speed of the fastest training.
"""

import itertools
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from rich.table import Table

from benchmarks.claims import Claim, at_most
from benchmarks.training.flights import Flights, train_config
from benchmarks.training.processes import details, paths_in, start, wait
from components import artifacts
from components.train.paths import Paths

KILLS = 20
UNTIL, HELDOUT_DAYS = "2013-03-31", 31
EPOCHS = 12
INTERVAL_S = 1.5
CONFIG = {"epochs": EPOCHS, "patience": EPOCHS, "deterministic": True, "checkpoint_minutes": INTERVAL_S / 60}
SEED = 0
START_UPS = 0.25
"""Share of the kills that are meant for the start-up."""
LOOK_S = 0.02
FASTEST = 90
"""Percentile of the speeds of single calls: one call alone may be timed too short."""


@dataclass(frozen=True)
class Event:
    """A line of `counted`."""

    at_s: float
    name: str
    steps: int


@dataclass(frozen=True)
class Spans:
    """Of an undisturbed training, in seconds."""

    start_up_s: float
    training_s: float
    """From the first step to the end of the process."""


@dataclass(frozen=True)
class Kill:
    """What it cost."""

    stage: str
    """What the process was doing: `start-up`, `first step` or `training`, with what follows it."""
    lost_steps: int


@dataclass
class Outcome:
    """All kills, and the trainings that they befell."""

    kills: list[Kill] = field(default_factory=list)
    trainings: int = 0
    differing: int = 0
    """Those that did not end as the undisturbed one."""


def measure(flights: Flights, _rounds: int) -> tuple[list[Table], list[Claim]]:
    """One undisturbed training, then KILLS kills."""
    folder = flights.examples("kills", UNTIL, f"preprocess.heldout_days={HELDOUT_DAYS}")
    place = flights.work / "kills"
    shutil.rmtree(place, ignore_errors=True)
    undisturbed = paths_in(place / "undisturbed", folder, flights.empty)
    start_s = time.monotonic()
    wait(_start(undisturbed), undisturbed)
    begun_s = _events(undisturbed)[0].at_s
    spans = Spans(begun_s - start_s, time.monotonic() - begun_s)
    outcome, moments, speeds = Outcome(), random.Random(SEED), [_steps_per_s(_events(undisturbed))]
    while len(outcome.kills) < KILLS:
        paths = paths_in(place / f"training-{outcome.trainings}", folder, flights.empty)
        _train(paths, moments, spans, outcome.kills)
        outcome.trainings += 1
        outcome.differing += not _is_same(paths.result, undisturbed.result)
        speeds.append(_steps_per_s(_events(paths)))
    shutil.rmtree(place)
    return [_table(outcome, spans)], _claims(outcome, INTERVAL_S * max(speeds))


def _train(paths: Paths, moments: random.Random, spans: Spans, kills: list[Kill]) -> None:
    """Trains to the end, killed now and then while kills are left.

    Raises:
        RuntimeError: a process that was not killed failed.
    """
    while not paths.result.exists():
        start_s = time.monotonic()
        process = _start(paths)
        if len(kills) == KILLS:
            wait(process, paths)
            return
        if moments.random() < START_UPS:
            after_s = moments.uniform(0, spans.start_up_s)
        else:
            after_s = moments.uniform(0, spans.training_s)
            _wait_for_steps(process, paths, start_s)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills.append(_cost(_events(paths), start_s))
        if process.returncode != -signal.SIGKILL:
            wait(process, paths)


def _wait_for_steps(process: subprocess.Popen[bytes], paths: Paths, start_s: float) -> None:
    """Waits until the process trains, or has ended."""
    while process.poll() is None and not any(event.at_s >= start_s for event in _events(paths)):
        time.sleep(LOOK_S)


def _start(paths: Paths) -> subprocess.Popen[bytes]:
    return start(paths, train_config(**CONFIG), ("-m", "benchmarks.training.counted", str(_notes(paths))))


def _notes(paths: Paths) -> Path:
    return paths.scratch.parent / "events.txt"


def _events(paths: Paths) -> list[Event]:
    if not _notes(paths).exists():
        return []
    lines = (line.split() for line in _notes(paths).read_text(encoding="utf-8").splitlines())
    return [Event(float(at), name, int(steps)) for at, name, steps in lines]


def _cost(events: list[Event], start_s: float) -> Kill:
    own = [event for event in events if event.at_s >= start_s]
    marks = [place for place, event in enumerate(own) if event.name != "steps"]
    if not marks:
        return Kill("start-up", 0)
    since = own[marks[-1] :]
    stage = "training" if any(event.name == "steps" for event in own) else "first step"
    return Kill(stage, sum(event.steps for event in since))


def _steps_per_s(events: list[Event]) -> float:
    """Of the fastest calls."""
    pairs = itertools.pairwise(events)
    speeds = [after.steps / (after.at_s - before.at_s) for before, after in pairs if after.name == "steps"]
    return float(np.percentile(speeds, FASTEST))


def _is_same(one: Path, other: Path) -> bool:
    first, second = _weights(one), _weights(other)
    histories = [
        [(epoch["loss"], epoch["validation_loss"], epoch["validation_metric"]) for epoch in details(model)["history"]]
        for model in (one, other)
    ]
    is_equal = set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)
    return is_equal and histories[0] == histories[1]


def _weights(model: Path) -> dict[str, np.ndarray]:
    """Weights and optimizer, by name."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(model / artifacts.WEIGHTS) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    with np.load(model / artifacts.OPTIMIZER) as file:
        return found | dict(file)


def _claims(outcome: Outcome, interval_steps: float) -> list[Claim]:
    most = max(kill.lost_steps for kill in outcome.kills)
    return [
        at_most(f"kills: trainings of {outcome.trainings} that end otherwise", outcome.differing, 0, "d"),
        at_most(f"kills: steps trained again, most of {KILLS}", most, interval_steps, ",.0f"),
    ]


def _table(outcome: Outcome, spans: Spans) -> Table:
    table = Table("killed in", "kills", "steps trained again, mean", "most")
    table.title = (
        f"{len(outcome.kills)} kills in {outcome.trainings} trainings of {spans.start_up_s + spans.training_s:.0f} s"
    )
    for stage in ("start-up", "first step", "training"):
        kills = [kill for kill in outcome.kills if kill.stage == stage]
        steps = [kill.lost_steps for kill in kills] or [0]
        table.add_row(stage, str(len(kills)), f"{np.mean(steps):.0f}", str(max(steps)))
    table.caption = f"a checkpoint every {INTERVAL_S:g} s"
    return table
