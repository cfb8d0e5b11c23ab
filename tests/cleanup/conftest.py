"""A work directory with a fake clock: what runs leave behind, dated at will."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from components.artifacts import write_json
from components.cleanup.cleanup import plan
from components.cleanup.config import Retention

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
"""Noon of a day that lies in the 667th generation of 30 days, which began on day 19,980 at 20 days' distance."""


class Work:
    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str, time_s: float, content: bytes = b"12345") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.date(path, time_s)
        return path

    def date(self, path: Path, time_s: float) -> None:
        """Dates a file or folder and all its parents in the work directory."""
        for one in (path, *path.parents):
            if one != self.path and one.is_relative_to(self.path):
                os.utime(one, (time_s, time_s))

    def outputs(self, time_s: float, pipeline: str = "evergreen-flights", named_s: float | None = None) -> Path:
        stamp = datetime.fromtimestamp(time_s if named_s is None else named_s).strftime("%Y-%m-%d-%H-%M-%S-%f")
        folder = f"pipeline/{pipeline}-{stamp}"
        self.file(f"{folder}/train/model/weights.h5", time_s)
        return self.path / folder

    def run(self, name: str, started_s: float, heartbeat_s: float | None = None, model: str = "flights") -> Path:
        folder = self.path / "runs" / name
        write_json(folder / "run.json", {"model": model, "started_s": started_s})
        write_json(folder / "records" / "ingest.json", {})
        if heartbeat_s is not None:
            write_json(folder / "lease.json", {"pid": 1, "model": model, "heartbeat_s": heartbeat_s})
        return folder

    def version(self, number: int, run: str, model: str = "flights") -> None:
        write_json(self.path / "models" / model / "versions" / str(number) / "lineage.json", {"run": run})

    def plan(self, now_s: float = NOW_S, model: str = "flights", days: int = 30, runs: int = 20) -> list[Path]:
        return [item.path for item in plan(self.path, model, Retention(days=days, runs=runs), now_s)]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    path = (tmp_path / "work").resolve()
    path.mkdir()
    return Work(path)
