"""The steps as pods of a cluster call them, with everything in a bucket: each in a process and on a disk of its own."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import RUN_VARIABLE, read_records
from components.config import ModelConfig, load
from components.storage.fetched import BESIDE_VARIABLE, SCRATCH_VARIABLE
from components.storage.open import open_storage
from components.store import ModelStore, verify
from tests.pipeline.conftest import ROOT, SMALL, Workshop

pytestmark = pytest.mark.nightly
SMALLER = {**SMALL, "compress": {"recipes": ["float32"]}, "predict": {"source": "{work}/source/flights/*.parquet"}}


@dataclass
class Cluster:
    """What KFP's backend does for a run: it keeps the outputs, and gives each pod copies of its inputs."""

    config: ModelConfig
    work: str
    folder: Path
    shop: Workshop
    run: str = "run-1"
    pods: int = 0
    kept: dict[str, Path] = field(default_factory=dict)

    def pod(self, step: str, body: str, **artifacts: str) -> Any:
        """Runs a step's function in a process with an empty scratch folder.

        Args:
            step: the step.
            body: an expression; `config`, `work`, the inputs and outputs are names in it.
            artifacts: inputs by name: the address of a folder, or the name of an output that is kept.
        """
        self.pods += 1
        disk = self.folder / f"pod{self.pods}"
        names = {"work": self.work} | {name: self._copied(source, disk) for name, source in artifacts.items()}
        names |= {f"new_{name}": str(self.folder / "kept" / self.run / name) for name in ("statistics", step, "chosen")}
        section = "{}" if step == "compress" else self.config.for_step(step)
        code = [
            "import json, sys; from pathlib import Path; from components.schema import parse",
            f"import components.{step}.{step} as step, components.{step}.config as section",
            f"globals().update({names!r})",
            f"config = None if {step!r} == 'compress' else parse(section.{step.title()}Config, {section!r})",
            f"print('answer:' + json.dumps({body}, default=str))",
        ]
        environment = {**os.environ, SCRATCH_VARIABLE: str(disk / "scratch"), RUN_VARIABLE: self.run}
        environment.pop(BESIDE_VARIABLE, None)
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-c", "\n".join(code)]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step}: {done.stderr[-3000:]}"
        shutil.rmtree(disk, ignore_errors=True)
        return json.loads(done.stdout.rpartition("answer:")[2])

    def deliver(self, *months: int) -> None:
        """Adds months to the feed in the bucket."""
        for month in months:
            self.shop.deliver(month)
        open_storage(self.work).upload(self.shop.feed, "source/flights")

    def _copied(self, source: str, disk: Path) -> str:
        """A copy of exactly that folder, at the path that KFP's launcher gives it."""
        target = disk / source.replace("://", "/").lstrip("/")
        if "://" in source:
            open_storage(source).download("", target)
        else:
            shutil.copytree(self.folder / "kept" / self.run / source, target)
        return str(target)


@pytest.fixture
def cluster(s3_root: str, flights_feed: Path, tmp_path: Path) -> Cluster:
    shop = Workshop(tmp_path, flights_feed)
    shop.model.mkdir()
    shutil.copy(ROOT / "models/flights/model.yaml", shop.model)
    shop.configure(SMALLER)
    return Cluster(load(shop.model, ()), s3_root, tmp_path, shop)


def _whole_run(cluster: Cluster, run: str) -> str:
    cluster.run = run
    data = cluster.pod("ingest", "step.ingest(config, work, 'flights', '')")
    base, serving, _, _ = cluster.pod("resolve", f"step.resolve(config, work, {data!r})")
    answer = cluster.pod(
        "validate",
        f"step.validate({data!r}, {serving!r}, config, 'digest', True, work, Path(new_statistics))",
    )
    assert answer == "retrain"
    folders = {"snapshot": data, "base": base}
    cluster.pod(
        "preprocess", "step.preprocess(Path(snapshot), Path(base), config, work, Path(new_preprocess))", **folders
    )
    inputs = {"examples": "preprocess", "base": base}
    cluster.pod("train", "step.train(Path(examples), Path(base), config, work, Path(new_train))", **inputs)
    (recipe,) = cluster.config.compress.recipe_jsons(cluster.config.train)
    body = f"step.compress(Path(model), Path(examples), parse(section.Recipe, {recipe!r}), work, Path(new_compress))"
    cluster.pod("compress", body, model="train", examples="preprocess")
    body = f"step.evaluate([Path(variant)], Path(examples), {serving!r}, config, work, Path(new_chosen))"
    assert cluster.pod("evaluate", body, variant="compress", examples="preprocess") == "blessed"
    body = "step.rehearse(Path(chosen), Path(examples), config, work, Path(new_rehearse))"
    assert cluster.pod("rehearse", body, chosen="chosen", examples="preprocess") == "fit"
    sources = "chosen=Path(chosen), model=Path(model), statistics=Path(statistics), snapshot=Path(snapshot)"
    sources += f", recorded=Path(recorded), base={base!r}, serving={serving!r}"
    body = f"step.deploy(step.Sources({sources}), config, {{'training_digest': 'digest', 'images': {{}}}}, work)"
    made = {"chosen": "chosen", "model": "train", "statistics": "statistics", "recorded": "rehearse"}
    version = cluster.pod("deploy", body, snapshot=data, **made)
    cluster.pod("predict", f"step.predict({version!r}, config, 'flights', work)")
    cluster.pod("finish", "step.finish(config, work, 'flights', Path(new_finish))")
    return version


def test_two_runs_in_pods_end_with_models_in_service_and_leave_nothing_but_the_bucket(cluster: Cluster) -> None:
    for run, number, months in (("run-1", 1, (0, 1)), ("run-2", 2, (2,))):
        cluster.deliver(*months)
        assert _whole_run(cluster, run) == f"{cluster.work}/models/flights/versions/{number}"
        records = read_records(f"{cluster.work}/runs/{run}")
        assert {record.status for record in records.values()} == {"done"} and len(records) == 11
        version = ModelStore(cluster.work, "flights").pointed("serving")
        assert version is not None and version.number == number
        verify(version)
    assert version.lineage["base"] == 1
    storage = open_storage(cluster.work)
    assert storage.exists("runs/run-2/report.html") and storage.names("runs/run-2/tensorboard")
    assert not list(storage.entries("checkpoints")), "both trainings came to their end"
    assert [name for name in storage.names("predictions/flights") if name.startswith("version-")]
