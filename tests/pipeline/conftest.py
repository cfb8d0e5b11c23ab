"""A small model on real data, its feed, and a work directory in which it was trained once."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from components.artifacts import Record, read_records
from components.store import ModelStore

ROOT = Path(__file__).parents[2]
ROWS_A_MONTH = 1500
SMALL = {
    "preprocess": {"heldout_days": 6, "validation_days": 5},
    "train": {"epochs": 2, "batch_size": 256},
    "evaluate": {
        "min_quality": 0.3,
        "max_loss": 1.0,
        "limits": {"loss": 0.2, "slice_loss": None},
        "slices": ["origin"],
    },
    "validate": {"max_unseen": 1.0},
    "ingest": {"source": "{work}/source/flights/*.parquet"},
}


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line left."""

    code: int
    screen: str
    work: Path
    name: str
    seconds: float

    @property
    def folder(self) -> Path:
        return self.work / "runs" / self.name

    @property
    def records(self) -> dict[str, Record]:
        return read_records(self.folder)

    def ran(self) -> set[str]:
        """The steps that did their work in this run, rather than coming from the cache."""
        return {step for step, record in self.records.items() if record.run == self.name}

    def cached(self) -> set[str]:
        return set(self.records) - self.ran()


class Workshop:
    """A model's folder, its feed and its work directory."""

    def __init__(self, folder: Path, all_months: Path, name: str = "flights") -> None:
        self.work, self.name = folder / "work", name
        self._all_months = sorted(all_months.glob("*.parquet"))
        self.model = folder / "model"
        self.feed = self.work / "source" / name
        self.root = ROOT

    def deliver(self, month: int) -> None:
        """Adds every n-th flight of a month, counted from 0, to the feed."""
        path = self._all_months[month]
        flights = pq.read_table(path)
        step = flights.num_rows // ROWS_A_MONTH
        self.feed.mkdir(parents=True, exist_ok=True)
        pq.write_table(flights.take(list(range(0, flights.num_rows, step))), self.feed / path.name)

    def run(self, *arguments: str) -> Outcome:
        before = set(self._runs())
        start = time.time()
        command = [sys.executable, "pipeline.py", "run", str(self.model), "--work", str(self.work), *arguments]
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, env={**os.environ, "COLUMNS": "110"}, check=False
        )
        (new,) = set(self._runs()) - before or {"none"}
        return Outcome(done.returncode, done.stdout + done.stderr, self.work, new, time.time() - start)

    def _runs(self) -> list[str]:
        folder = self.work / "runs"
        return [path.name for path in folder.iterdir()] if folder.exists() else []

    def serving(self) -> int | None:
        version = ModelStore(self.work, self.name).pointed("serving")
        return version and version.number

    def configure(self, change: dict[str, Any]) -> None:
        path = self.model / "model.yaml"
        config = yaml.safe_load(path.read_text())
        for section, keys in change.items():
            config.setdefault(section, {}).update(keys)
        path.write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="session")
def flights_feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the built-in flights, laid out by the model's own script."""
    folder = tmp_path_factory.mktemp("feed") / "flights"
    subprocess.run([sys.executable, str(ROOT / "models/flights/data.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, flights_feed: Path) -> Workshop:
    """The flights model on every n-th flight of January and February."""
    made = Workshop(tmp_path_factory.mktemp("workshop"), flights_feed)
    made.model.mkdir()
    shutil.copy(ROOT / "models/flights/model.yaml", made.model)
    made.configure(SMALL)
    made.deliver(0)
    made.deliver(1)
    return made


@pytest.fixture(scope="session")
def first(workshop: Workshop) -> Outcome:
    """The first run: nothing is known yet, a model is trained and deployed."""
    outcome = workshop.run()
    assert outcome.code == 0, outcome.screen + _log(outcome)
    return outcome


def _log(outcome: Outcome) -> str:
    path = outcome.folder / "log.txt"
    return path.read_text()[-5000:] if path.exists() else ""
