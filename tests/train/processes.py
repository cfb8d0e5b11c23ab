"""Real training processes on a small artifact of preprocess."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from components import artifacts
from components.learning.config import WideDeep
from components.train.config import Train, TrainConfig
from components.train.paths import Paths
from tests.learning.small import CITIES, make_transform, write_examples

ROOT = Path(__file__).parents[2]
NETWORK = WideDeep(hidden=(8,), max_embedding_width=4, dropout=0.2)


class Place:
    """A folder with examples, and what is trained on them."""

    def __init__(self, root: Path, rows: tuple[int, int] = (900, 300), shards: int = 4, cities=CITIES, **train) -> None:
        settings = {"epochs": 4, "learning_rate": 0.01, "batch_size": 30, **train}
        self.config = TrainConfig(network=NETWORK, train=Train(**settings))
        self.root, self.work, self.model = root, root / "work", root / "model"
        self.paths = Paths(root / "examples", root / "base", root / "scratch", root / "log")
        write_examples(self.paths.examples, make_transform(cities=cities), rows=rows, shards=shards)
        self.paths.base.mkdir(parents=True)
        self.paths.scratch.mkdir()

    def start(self) -> subprocess.Popen:
        """One process that trains alone."""
        file = self.root / "config.json"
        file.write_text(self.config.to_json())
        folders = {"examples": self.paths.examples, "base": self.paths.base, "scratch": self.paths.scratch}
        command = [sys.executable, "-m", "components.train", "--config", file, "--log", self.paths.log]
        command += [part for name, folder in folders.items() for part in (f"--{name}", folder)]
        output = (self.root / "said.txt").open("ab")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment)

    @property
    def checkpoint(self) -> Path:
        """Appears with the first checkpoint."""
        return self.paths.scratch / "checkpoint" / "progress.json"

    def wait_for(self, path: Path, process: subprocess.Popen, patience_s: float = 120) -> None:
        """Waits for a file that the process writes."""
        until = time.monotonic() + patience_s
        while not path.exists():
            assert process.poll() is None, (self.root / "said.txt").read_text()[-2000:]
            assert time.monotonic() < until, f"{path} did not appear"
            time.sleep(0.002)


def details(model: Path) -> dict:
    """What training says of itself."""
    return json.loads((model / artifacts.TRAINING).read_text())


def weights_of(model: Path) -> dict[str, np.ndarray]:
    """Weights and optimizer, by name."""
    import h5py

    found: dict[str, np.ndarray] = {}
    with h5py.File(model / artifacts.WEIGHTS) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    with np.load(model / artifacts.OPTIMIZER) as file:
        return found | dict(file)
