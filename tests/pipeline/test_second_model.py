"""A second model needs no code: other data, another task, CSV; and the compiled YAML is the same pipeline."""

import csv
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kfp.components
import pytest
import yaml
from sklearn.datasets import load_diabetes, load_wine

from components.artifacts import RUN_VARIABLE, read_records
from components.orchestration.local_run import init_kfp
from components.store import ModelStore

ROOT = Path(__file__).parents[2]


def _lay_out(folder: Path, bunch: Any, label: str, config: dict[str, Any]) -> Path:
    """A model's folder with its data as CSV."""
    names = [name.replace("/", "_") for name in bunch.feature_names]
    folder.mkdir()
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, label])
        writer.writerows([*values, target] for values, target in zip(bunch.data.tolist(), bunch.target.tolist()))
    described = {
        "name": folder.name,
        "data": {"columns": {**dict.fromkeys(names, "float"), label: config.pop("label_type")}, "label": label},
        "features": [{"name": name.lower(), "kind": "numeric", "column": name} for name in names],
        "network": {"kind": "mlp", "hidden": [32]},
        "ingest": {"source": "rows.csv"},
        "preprocess": {"heldout_share": 0.3, "validation_share": 0.2},
        "train": {"epochs": 150, "batch_size": 32, "learning_rate": 0.01, "patience": 20},
        "evaluate": {"limits": {"loss": 0.1}},
    }
    for section, keys in config.items():
        described.setdefault(section, {}).update(keys)
    (folder / "model.yaml").write_text(yaml.safe_dump(described))
    return folder


def test_the_compiled_yaml_of_a_multi_class_model_runs_through_plain_kfp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"label_type": "integer", "data": {"task": "multiclass", "classes": [0, 1, 2]}}
    model = _lay_out(tmp_path / "wine", load_wine(), "cultivar", config)
    compiled, work = tmp_path / "wine.yaml", tmp_path / "work"
    command = [sys.executable, "pipeline.py", "compile", str(model), "-o", str(compiled)]
    start = time.time()
    subprocess.run(command, cwd=ROOT, check=True)
    assert time.time() - start < 5

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(RUN_VARIABLE, "by-hand")
    init_kfp(work, cache=True)
    kfp.components.load_component_from_file(str(compiled))(work_uri=str(work))

    records = read_records(work / "runs" / "by-hand")
    assert {record.status for record in records.values()} == {"done"}
    evaluation = records["evaluate"].details
    assert evaluation["decision"] == "blessed" and evaluation["metric"] == "accuracy"
    chosen = next(variant for variant in evaluation["variants"] if variant["recipe"] == evaluation["chosen"])
    assert chosen["metrics"]["accuracy"] > 0.85
    assert ModelStore(work, "wine").pointed("serving") is not None
    assert (work / "runs" / "by-hand" / "report.html").exists()


@pytest.mark.nightly
def test_a_regression_model_runs(tmp_path: Path) -> None:
    config = {"label_type": "float", "data": {"task": "regression"}}
    model = _lay_out(tmp_path / "diabetes", load_diabetes(scaled=False), "progression", config)
    work = tmp_path / "work"
    command = [sys.executable, "pipeline.py", "run", str(model), "--work", str(work)]
    subprocess.run(command, cwd=ROOT, check=True)
    (run,) = (work / "runs").iterdir()
    evaluation = read_records(run)["evaluate"].details
    chosen = next(variant for variant in evaluation["variants"] if variant["recipe"] == evaluation["chosen"])
    assert evaluation["metric"] == "rmse" and chosen["metrics"]["rmse"] < 65  # the labels' own deviation is 77
