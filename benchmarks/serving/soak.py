"""The soak: many minutes of load with version switches and malformed requests, every answer checked."""

import itertools
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.serving.bodies import MODEL, Row, as_rows, http_request
from benchmarks.serving.client import Answer, Load, Outcome
from benchmarks.serving.engines import litert
from benchmarks.serving.servers import Running
from components.store import ModelStore, Version

CONNECTIONS = 64
MALFORMED_SHARE = 0.02
HOT_SHARE = 0.5
HOT_ROWS = 500
"""Half of the requests ask for few rows again and again, as the cache is for; the others for all rows in turn."""
REQUESTS = 100_000
SWITCH_S = 10
SAMPLE_S = 1
TOLERANCE = 1e-6
VERSION = b"model-version: "
MALFORMED = (
    b"",
    b"{",
    b"[1, 2]",
    b'{"instances": 5}',
    b'{"instances": [7]}',
    b'{"instances": [{"nosuchcolumn": 1}]}',
    b'{"instances": [{"carrier": 12}]}',
    b'{"instances": [{"hour": "noon"}]}',
    b'{"instances": [{"scheduled": "yesterday"}]}',
    b'{"instances": [{"carrier": "\xff"}]}',
    b'{"rows": []}',
)


@dataclass
class Soak:
    """What a soak gave."""

    outcome: Outcome
    switches: int
    malformed_share: float
    memory_bytes: list[int] = field(default_factory=list)
    """Resident memory, once every SAMPLE_S."""

    def growth_bytes(self) -> int:
        """Growth of the resident memory from the second fifth of the soak, when the cache is full, to the last."""
        fifth = max(1, len(self.memory_bytes) // 5)
        return int(np.median(self.memory_bytes[-fifth:]) - np.median(self.memory_bytes[fifth : 2 * fifth]))


class _Switcher(threading.Thread):
    """Moves the pointer back and forth between two versions, and samples the server's memory."""

    def __init__(self, store: ModelStore, versions: Sequence[Version], server: Running) -> None:
        super().__init__(daemon=True)
        self._store, self._versions, self._server = store, itertools.cycle(versions), server
        self.done = threading.Event()
        self.switches = 0
        self.memory_bytes: list[int] = []

    def run(self) -> None:
        next_s = time.monotonic() + SWITCH_S
        while not self.done.wait(SAMPLE_S):
            self.memory_bytes.append(self._server.memory_bytes)
            if time.monotonic() >= next_s:
                self._store.point("serving", next(self._versions))
                self.switches += 1
                next_s += SWITCH_S


def soak(server: Running, work: Path, rows: Sequence[Row], rate_per_s: float, seconds: float) -> Soak:
    """Loads a server at a fixed rate.

    Args:
        server: serves the store of `work`, whose two versions answer differently.
        work: the work directory.
        rows: to ask for.
        rate_per_s: requests per second.
        seconds: how long.
    """
    store = ModelStore(work, MODEL)
    versions = store.versions()
    engines = {version.number: litert(version.path) for version in versions}
    answers = {number: [predict([row])[0] for row in rows] for number, predict in engines.items()}
    numbers = _choose(len(rows))
    bodies = [as_rows([row]) for row in rows]
    requests = [http_request(bodies[number] if number >= 0 else MALFORMED[-1 - number]) for number in numbers]
    load = Load(server.port, CONNECTIONS, requests, _Check(numbers, answers))
    switcher = _Switcher(store, versions, server)
    switcher.start()
    outcome = load.run(seconds, rate_per_s)
    switcher.done.set()
    switcher.join()
    load.close()
    malformed_share = sum(number < 0 for number in numbers) / REQUESTS
    return Soak(outcome, switcher.switches, malformed_share, switcher.memory_bytes)


def _choose(rows: int) -> list[int]:
    """REQUESTS numbers of rows; a malformed body is -1 less its place in MALFORMED."""
    chosen, turn = random.Random(0), itertools.cycle(range(rows))
    numbers = []
    for _ in range(REQUESTS):
        kind = chosen.random()
        if kind < MALFORMED_SHARE:
            numbers.append(-1 - chosen.randrange(len(MALFORMED)))
        elif kind < MALFORMED_SHARE + HOT_SHARE:
            numbers.append(chosen.randrange(min(HOT_ROWS, rows)))
        else:
            numbers.append(next(turn))
    return numbers


class _Check:
    """Right is the answer of the version that the response names, and 400 for a malformed request."""

    def __init__(self, numbers: Sequence[int], answers: Mapping[int, Sequence[float]]) -> None:
        self._numbers, self._answers = numbers, answers
        self._decode = msgspec.json.Decoder().decode

    def __call__(self, request: int, answer: Answer) -> bool:
        number = self._numbers[request]
        if number < 0:
            return answer.status == 400
        if answer.status != 200:
            return False
        version = int(answer.head.partition(VERSION)[2].partition(b"\r")[0])
        (value,) = self._decode(answer.body)["predictions"]
        return bool(abs(value - self._answers[version][number]) <= TOLERANCE)
