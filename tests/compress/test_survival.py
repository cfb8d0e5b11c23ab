"""A recipe whose process is killed while it trains goes on where it was."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components import artifacts
from components.compress.compress import digest
from components.compress.config import Recipe
from components.errors import UserError
from components.learning.fitting import Fitting
from components.learning.training_folder import held
from tests.compress.trained import Trained, described, recipe

ROOT = Path(__file__).parents[2]
NAMES = ("pruned", "quantization_aware", "int8")
LONG = Fitting(batch_size=30, checkpoint_minutes=0.005, deterministic=True)
PROGRAM = """
import logging, sys
from pathlib import Path
from components.compress.compress import compress
from components.compress.config import Recipe
from components.errors import PreemptedError
from components.schema import parse
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
model, examples, work, variant = map(Path, sys.argv[2:])
try:
    compress(model, examples, parse(Recipe, sys.argv[1]), work, variant)
except PreemptedError as error:
    print(error)
    sys.exit(143)
"""


class Making:
    """Real processes that make one variant of a model."""

    def __init__(self, trained: Trained, root: Path, fitting: Fitting = LONG) -> None:
        self.trained, self.work, self.variant, self.log = trained, root / "work", root / "variant", root / "said.txt"
        self.recipe: Recipe = recipe(*NAMES, fitting=fitting, fine_tune={"epochs": 3, "learning_rate": 0.001})
        root.mkdir(exist_ok=True)

    @property
    def scratch(self) -> Path:
        return self.work / "checkpoints" / digest(self.trained.model, self.trained.examples, self.recipe)

    def start(self) -> subprocess.Popen:
        folders = [self.trained.model, self.trained.examples, self.work, self.variant]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as said:
            command = [sys.executable, "-c", PROGRAM, self.recipe.to_json(), *map(str, folders)]
            return subprocess.Popen(command, stdout=said, stderr=said, env=environment)

    def wait_until(self, is_true, process: subprocess.Popen, patience_s: float = 120) -> None:
        until = time.monotonic() + patience_s
        while not is_true():
            assert process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.002)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def undisturbed(trained, tmp_path_factory):
    making = Making(trained, tmp_path_factory.mktemp("undisturbed"))
    assert making.start().wait() == 0, making.log.read_text()[-2000:]
    return making.variant


def model_of(variant: Path) -> bytes:
    return (variant / artifacts.SERVING / artifacts.LITERT_MODEL).read_bytes()


def metrics(variant: Path) -> list[list[float]]:
    return [[epoch["validation_metric"] for epoch in course["history"]] for course in described(variant)["history"]]


@pytest.mark.nightly  # the fast tests kill a training, whose checkpoints these are
def test_killed_while_it_trains_it_ends_as_if_it_had_not_been(trained, undisturbed, tmp_path):
    making = Making(trained, tmp_path / "killed")
    for change in ("pruned", "quantization_aware"):
        process = making.start()
        making.wait_until((making.scratch / change / "progress.json").exists, process)
        process.kill()
        process.wait()
    assert not making.variant.exists()
    assert making.start().wait() == 0, making.log.read_text()[-2000:]
    assert "going on from the checkpoint" in making.log.read_text()
    assert model_of(making.variant) == model_of(undisturbed)
    assert metrics(making.variant) == metrics(undisturbed)
    assert not making.scratch.exists()


@pytest.mark.nightly
def test_told_to_end_it_saves_first(trained, undisturbed, tmp_path):
    making = Making(trained, tmp_path / "told", LONG.model_copy(update={"checkpoint_minutes": 60.0}))
    process = making.start()
    making.wait_until(lambda: "epoch 2" in making.log.read_text(), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "the checkpoint is saved, run it again to go on" in making.log.read_text()
    assert making.start().wait() == 0
    assert model_of(making.variant) == model_of(undisturbed)


def test_the_digest_tells_recipes_and_models_apart_but_not_budgets(trained, tmp_path):
    def of(model=trained.model, **changed):
        made = recipe("pruned", fitting=LONG.model_copy(update=changed))
        return digest(model, trained.examples, made)

    assert of() == of(checkpoint_minutes=9.0)
    assert of() != of(seed=1)
    assert of() != digest(trained.model, trained.examples, recipe("low_rank", fitting=LONG))
    assert of() != of(tmp_path)


def test_a_lock_in_a_folder_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    lock = fcntl.flock

    def late(file, operation):
        shutil.rmtree(tmp_path / "scratch")
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="has just ended this very training"), held(tmp_path / "scratch"):
        pass
