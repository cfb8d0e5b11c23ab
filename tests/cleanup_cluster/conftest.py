"""A cluster with a history: Kubeflow Pipelines, the Kubernetes API, a work directory, outputs and logs."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xxhash

from components.cleanup.config import Retention
from components.cleanup.kubeflow.__main__ import main
from components.cleanup.kubeflow.cleanup import Cleanup
from components.cleanup.kubeflow.pipelines import TOKEN_VARIABLE, Pipelines
from components.kubernetes import patience
from components.storage.address import is_local
from components.storage.open import open_storage
from components.store import ModelStore
from tests.kfp_server.server import NAMESPACE, KfpServer
from tests.kubernetes.api_server import ApiServer, kubeconfig

DAY_S = 86_400.0
PIPELINE = "evergreen-flights"
MODEL_YAML = "retention: {days: 30, runs: 2}\n"


class Place:
    """What lies where, on folders or on S3."""

    def __init__(self, kfp: KfpServer, kubernetes: ApiServer, root: str, config: Path) -> None:
        self.kfp, self.kubernetes, self.config = kfp, kubernetes, config
        self.now_s = time.time()
        self.work, self.outputs, self.logs = f"{root}/work", f"{root}/outputs", f"{root}/logs/{NAMESPACE}"
        for address in (self.outputs, self.logs):
            if is_local(address):
                Path(address).mkdir(parents=True)

    def write(self, address: str, content: bytes = b"12345") -> str:
        root, _, name = address.rpartition("/")
        if is_local(root):  # without waiting for the disk
            Path(root).mkdir(parents=True, exist_ok=True)
            Path(address).write_bytes(content)
        else:
            open_storage(root).write(name, content)
        return address

    def exists(self, address: str) -> bool:
        root, _, name = address.rpartition("/")
        return next(open_storage(root).entries(name), None) is not None

    def outputs_of(self, run: str, pipeline: str = PIPELINE) -> str:
        return f"{self.outputs}/{pipeline}/{run}"

    def run(self, run: str, age_days: float, pipeline: str = PIPELINE, workflow: str | None = None, **more) -> str:
        """A run with outputs, and logs where its workflow is named."""
        self.kfp.run(run, self.now_s - age_days * DAY_S, pipeline, workflow=workflow, **more)
        outputs = f"{more['root']}/{pipeline}/{run}" if more.get("root") else self.outputs_of(run, pipeline)
        self.write(f"{outputs}/train/weights.h5")
        self.write(f"{outputs}/preprocess/shard-0")
        if workflow is not None:
            self.write(f"{self.logs}/{workflow}/2026/01/31/{workflow}-system-container-impl-1/main.log")
        return run

    def version(self, number: int, run: str, model: str = "flights", model_yaml: bytes = b"{}") -> None:
        files = {"lineage.json": json.dumps({"run": run}).encode(), "model.yaml": model_yaml}
        checksums = {name: xxhash.xxh3_128_hexdigest(content) for name, content in files.items()}
        for name, content in {**files, "checksums.json": json.dumps(checksums).encode()}.items():
            self.write(f"{self.work}/models/{model}/versions/{number}/{name}", content)

    def main(self, *arguments: str, model: str | None = "flights", config: bool = True) -> int:
        which = ["--all"] if model is None else ["--model", model]
        places = ["--work", self.work, "--pipeline-root", self.outputs, "--logs", self.logs]
        given = ["--config", str(self.config)] if config else []
        return main(["--host", self.kfp.url, "--namespace", NAMESPACE, *which, *places, *given, *arguments])

    def cleanup(self, days: int = 30, runs: int = 2) -> Cleanup:
        return Cleanup(
            model="flights",
            retention=Retention(days=days, runs=runs),
            pipelines=Pipelines(self.kfp.url, NAMESPACE),
            cluster=None,
            work=open_storage(self.work),
            store=ModelStore(self.work, "flights"),
            root=self.outputs,
            logs=self.logs,
        )

    def clean_up(self, now_s: float, days: int = 30, runs: int = 2) -> list[str]:
        """Cleans up at a time; gives what was freed."""
        cleanup = self.cleanup(days, runs)
        freed = cleanup.apply(cleanup.plan(list(cleanup.pipelines.runs()), now_s), lambda: now_s)
        assert not freed.failures
        return [leftover.name for leftover in freed.leftovers]


@pytest.fixture
def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Place]]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    config = tmp_path / "model.yaml"
    config.write_text(MODEL_YAML)
    with KfpServer() as kfp, ApiServer() as kubernetes:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, kubernetes.url)))
        yield lambda root: Place(kfp, kubernetes, root, config)


@pytest.fixture
def place(make_place: Callable[[str], Place], tmp_path: Path) -> Place:
    found = make_place(str(tmp_path / "cluster"))
    Path(found.work).mkdir(parents=True)
    return found


@pytest.fixture(params=["folder", "s3"])
def any_place(request: pytest.FixtureRequest, make_place: Callable[[str], Place], tmp_path: Path) -> Place:
    root = str(tmp_path / "cluster") if request.param == "folder" else request.getfixturevalue("s3_root")
    return make_place(root)
