"""A whole run of a small model in containers."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pipeline
from components.artifacts import Record, read_records
from components.config import load
from components.orchestration.container_limits import Limits
from components.orchestration.containers import Containers
from components.orchestration.images import image
from components.orchestration.mounts import Folders
from components.orchestration.retrain import retrain
from components.predictor.predictor import Predictor
from components.store import ModelStore
from tests.docker.engine import READABLE, ROOT, make_image

ROWS = 2000
STEPS = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
CACHED = {"preprocess", "train", "compress-float32", "compress-dynamic"}
ALWAYS = {"ingest", "resolve", "validate", "evaluate", "rehearse", "deploy", "predict", "finish"}


def lay_out(folder: Path) -> Path:
    """A model whose label follows from its columns; its rows lie beside the model, not in the work directory."""
    random = np.random.default_rng(1)
    x, town = random.normal(size=ROWS), random.choice(["Ulm", "Köln"], ROWS)
    late = (x + (town == "Ulm") + random.normal(scale=0.3, size=ROWS) > 0.5).astype(int)
    folder.mkdir()
    lines = [f"{key},{value:.4f},{name},{label}" for key, (value, name, label) in enumerate(zip(x, town, late))]
    (folder / "rows.csv").write_text("\n".join(["key,x,town,late", *lines]) + "\n", encoding="utf-8")
    described: dict[str, Any] = {
        "name": "small",
        "data": {
            "columns": {"key": "integer", "x": "float", "town": "string", "late": "integer"},
            "key": ["key"],
            "label": "late",
            "task": "binary",
        },
        "features": [
            {"name": "x", "kind": "numeric", "column": "x"},
            {"name": "town", "kind": "category", "column": "town"},
        ],
        "network": {"kind": "mlp", "hidden": [8]},
        "ingest": {"source": "rows.csv"},
        "preprocess": {"heldout_share": 0.3, "validation_share": 0.2},
        "train": {"epochs": 5, "batch_size": 64, "learning_rate": 0.01},
        "compress": {"recipes": ["float32", "dynamic"]},
        "evaluate": {"limits": {"loss": 0.1}},
        "predict": {"source": "rows.csv", "output": str(folder.parent / "predictions")},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(described))
    return folder


def records(work: Path) -> tuple[str, dict[str, Record]]:
    """The newest run and its records."""
    newest = max((work / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    return newest.name, read_records(newest)


def ran(work: Path) -> set[str]:
    run, found = records(work)
    assert {record.status for record in found.values()} == {"done"}, found
    return {step for step, record in found.items() if record.run == run}


def check(work: Path) -> None:
    """The model in service was made in containers, and predicts."""
    assert ran(work) == CACHED | ALWAYS
    version = ModelStore(work, "small").pointed("serving")
    predictor = Predictor.load(Path(version.location) / "serving")
    low, high = predictor.predict_rows([(-2.0, "Köln"), (2.0, "Ulm")]).ravel()
    assert low < 0.2 < 0.8 < high
    assert list((work.parent / "predictions").rglob("*.parquet"))
    assert all(path.owner() == work.owner() for path in work.rglob("*")), "what containers write is the user's"


@contextlib.contextmanager
def tagged(client) -> Iterator[None]:
    """Images of all steps that hold nothing: they mount this machine's packages."""
    there = [image(step) for step in STEPS if client.images.list(name=image(step))]
    if there:
        pytest.skip(f"{there[0]} has packages of its own; test_a_run_in_the_images_that_make_images_builds runs it")
    names = [image(step) for step in STEPS]
    for name in names:
        make_image(client, name)
    try:
        yield
    finally:
        for name in names:
            client.images.remove(name, force=True)


@pytest.mark.nightly
def test_the_steps_run_in_containers(tmp_path: Path, client) -> None:
    model, work = lay_out(tmp_path / "small"), tmp_path / "work"
    config = load(model)
    beside = Folders.of(config)
    runner = Containers(Folders((*READABLE, *beside.read), beside.written), Limits())
    drawn = pipeline.draw(config, str(work))
    parameters = {"until": "", "force": False, "work_uri": str(work)}
    with tagged(client):
        assert retrain(drawn, parameters, "small", model, runner=runner), log(work)
        check(work)
        assert retrain(drawn, parameters | {"force": True}, "small", model, runner=runner), log(work)
        assert not ran(work) & CACHED, "the second run took them from the cache"
        (model / "rows.csv").write_text("another,header\n1,2\n")
        assert not retrain(drawn, parameters, "small", model, runner=runner)
        assert records(work)[1]["ingest"].status == "failed"


@pytest.mark.nightly
def test_a_run_in_the_images_that_make_images_builds(tmp_path: Path, client) -> None:
    missing = [image(step) for step in STEPS if not client.images.list(name=image(step))]
    if missing:
        pytest.skip(f"{len(missing)} images are not there, {missing[0]} among them; run `make images` with this engine")
    model, work = lay_out(tmp_path / "small"), tmp_path / "work"
    command = [sys.executable, "pipeline.py", "run", str(model), "--work", str(work), "--runner", "docker"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + log(work)
    check(work)
    assert subprocess.run([*command, "--force"], cwd=ROOT, check=False).returncode == 0
    assert not ran(work) & CACHED, "the second run took them from the cache"


def log(work: Path) -> str:
    folders = sorted(work.glob("runs/*/log.txt"))
    return folders[-1].read_text()[-5000:] if folders else ""
