"""The pipeline as it is, with steps whose work is quick: what KFP's cache returns is tested in seconds.

`pipeline.draw` draws the DAG from the real component.py files, with the real images and configuration; KFP's local
runner runs it with its own cache. Two things are put in its place: a task's process is a call in this one, and the
modules that do the work of a step are the functions of this file. ingest and resolve stay as they are.
"""

import builtins
import contextlib
import importlib
import io
import json
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kfp.dsl.executor import Executor
from kfp.local import subprocess_task_handler
from rich.console import Console

import pipeline
from components.artifacts import RECORDS, Record, read_json, read_records, recorded
from components.config import load
from components.ingest import partition
from components.orchestration import images
from components.orchestration.local_run import LocalRun

ROOT = images.ROOT
STEPS = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
MODEL = {
    "name": "small",
    "data": {"columns": {"x": "float", "late": "integer"}, "label": "late", "task": "binary"},
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
    "ingest": {"source": "{work}/source/*.csv"},
    "compress": {"recipes": ["float32", "float16"]},
    "predict": {"source": "{work}/source/*.csv", "columns": ["x"]},
}


def validate(snapshot, serving, config, training_digest, force, work, statistics) -> str:
    _make("validate", work, [], statistics)
    return "retrain"


def preprocess(snapshot, base, config, work, examples) -> None:
    _make("preprocess", work, [], examples)


def train(examples, base, config, work, model) -> None:
    _make("train", work, [examples], model)


def compress(model, examples, recipe, work, variant) -> None:
    _make(f"compress-{recipe.name}", work, [model, examples], variant)


def evaluate(variants, examples, serving, config, work, chosen, log_metric) -> str:
    _make("evaluate", work, [*variants, examples], chosen)
    log_metric("auc", 0.5)
    return "blessed"


def rehearse(chosen, examples, config, work, output) -> str:
    _make("rehearse", work, [chosen, examples], output)
    return "fit"


@dataclass(frozen=True)
class Sources:
    """What the real module of the name takes."""

    chosen: Path
    model: Path
    statistics: Path
    snapshot: Path
    recorded: Path
    base: Path
    serving: Path


def deploy(sources, config, origin, work) -> str:
    _make("deploy", work, [sources.chosen, sources.model])
    return "1"


def _make(step: str, work: Path, inputs: list[Path], output: Path | None = None) -> None:
    with recorded(step, work, inputs, output):
        if output is not None:
            output.mkdir(parents=True)
            (output / "made").write_text(step)


def predict(version, config, name, work) -> None:
    _make("predict", work, [])


def finish(config, work, name, report) -> None:
    _make("finish", work, [])
    report.write_text("")


QUICK = (validate, preprocess, train, compress, evaluate, rehearse, deploy, predict, finish)


@dataclass(frozen=True)
class Outcome:
    """What one run left."""

    run: LocalRun
    records: dict[str, Record]

    @property
    def ran(self) -> set[str]:
        return {step for step, record in self.records.items() if record.run == self.run.name}

    @property
    def cached(self) -> set[str]:
        return set(self.records) - self.ran

    def output(self, step: str) -> Path:
        """The output that a step made in this run, or that was taken from the cache."""
        made = self.run.beside.glob(f"pipeline/*/**/{RECORDS}/{step}.json")
        kind, own = step.partition("-")[0], asdict(self.records[step])
        (found,) = [path.parents[1] for path in made if kind in path.parts and read_json(path) == own]
        return found


@dataclass
class Plant:
    """A model, its feed and work directory, and a copy of the code by which images are named."""

    folder: Path
    code: Path
    model: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(MODEL)))

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def feed(self, name: str = "rows.csv") -> Path:
        return self.work / "source" / name

    def run(self, *overrides: str, cache: bool = True) -> Outcome:
        """One run, with `section.key=value` each changing the model's description."""
        _forget_images()
        (self.folder / "model.yaml").write_text(yaml.safe_dump(self.model))
        drawn = pipeline.draw(load(self.folder, overrides), str(self.work))
        run = LocalRun.new("small", self.work)
        console = Console(file=io.StringIO())
        parameters = {"until": "", "force": False, "work_uri": str(self.work)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builtins, "print", print)  # KFP's threads leave it wrapped, once more in every run
            succeeded = run.execute(drawn, parameters, cache, console)
        assert succeeded, (run.folder / "log.txt").read_text()
        return Outcome(run, read_records(run.address))


@contextlib.contextmanager
def quick_plant(folder: Path) -> Iterator[Plant]:
    """A plant whose first run was made."""
    made = Plant(folder, folder / "code")
    for name in ("components", "containers"):
        shutil.copytree(ROOT / name, made.code / name, ignore=shutil.ignore_patterns("__pycache__"))
    made.feed().parent.mkdir(parents=True)
    made.feed().write_text("x,late\n" + "1.5,0\n2.5,1\n" * 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "ROOT", made.code)
        patch.setattr(partition, "ROOT", made.code)
        patch.setattr(subprocess_task_handler, "run_local_subprocess", _call)
        for function in QUICK:
            _replace_module(patch, function)
        made.run()
        yield made
    _forget_images()


def _replace_module(patch: pytest.MonkeyPatch, function: Callable[..., Any]) -> None:
    name = f"components.{function.__name__}.{function.__name__}"
    module = ModuleType(name)
    vars(module).update({function.__name__: function, "Sources": Sources})
    patch.setitem(sys.modules, name, module)


def _call(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
    """Does what a task's process does: runs the text of the component on the executor's input."""
    place = full_command.index("--executor_input")
    text, executor_input = full_command[place - 1], json.loads(full_command[place + 1])
    names: dict[str, Any] = {}
    try:
        exec(text, names)
        function = names[full_command[full_command.index("--function_to_execute") + 1]]
        Executor(executor_input=executor_input, function_to_execute=function).execute()
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def _forget_images() -> None:
    """Names the images and partitions anew: images are named when the components are imported."""
    images.content_hash.cache_clear()
    partition.reading_digest.cache_clear()
    for step in STEPS:
        importlib.reload(importlib.import_module(f"components.{step}.component"))
    importlib.reload(pipeline)
