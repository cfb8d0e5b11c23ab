"""The real command line against a Kubeflow Pipelines over HTTP."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from components.config import ModelConfig
from components.kubernetes import patience
from components.orchestration import command_line, compile, connection, run_progress
from components.orchestration.draw import Draw
from tests.kfp_server.server import KfpServer

MODEL: dict[str, Any] = {
    "name": "small",
    "description": "Is it late?",
    "data": {"columns": {"x": "float", "late": "integer"}, "label": "late", "task": "binary"},
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
    "ingest": {"source": "s3://bucket/rows/*.csv"},
}
NAME = "evergreen-small"
WORK = "s3://bucket/evergreen"
VARIABLES = (
    connection.HOST_VARIABLE,
    connection.UI_VARIABLE,
    connection.TOKEN_VARIABLE,
    connection.TOKEN_FILE_VARIABLE,
    connection.CA_VARIABLE,
)


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        assert self.code == 1, self.out + self.err
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("error: "), self.err
        assert all(word in last for word in words), last
        assert "Traceback" not in self.err


Command = Callable[..., Done]
compile_pipeline = compile.compile_pipeline


COMPILED: dict[tuple[str, str | None], compile.Compiled] = {}


def compiled(draw: Draw, config: ModelConfig, work: str | None, lock: Path | None) -> compile.Compiled:
    """KFP's compiler takes a second; most tests compile the same."""
    key = config.to_json(), work
    if key not in COMPILED:
        COMPILED[key] = compile_pipeline(draw, config, work, lock)
    return COMPILED[key]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the environment of whoever runs the tests, and without long pauses."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(run_progress, "POLL_S", 0.01)
    monkeypatch.setattr(compile, "compile_pipeline", compiled)


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.yaml").write_text(yaml.safe_dump(MODEL))
    return folder


@pytest.fixture
def bare(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A command of pipeline.py on the model, with nothing but what the test gives."""

    def run(command: str, *arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["pipeline.py", command, str(model), *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            command_line.main(pipeline.draw)
        said = capsys.readouterr()
        return Done(int(exit_.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def command(bare: Command, kfp: KfpServer) -> Command:
    """The same with a host and a work directory in a bucket."""
    return lambda name, *arguments: bare(name, "--host", kfp.url, "--work", WORK, *arguments)
