"""A work directory with a fake clock: what runs leave behind, dated at will."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import write_json
from components.cleanup.cleanup import Outcome, clean_up, plan
from components.cleanup.config import Retention
from components.cleanup.plan import Plan
from components.store import ModelStore, Version

DAY_S = 86_400
NOW_S = 20_000 * DAY_S + 43_200.0
"""Noon of a day that lies in the 667th generation of 30 days, which began on day 19,980 at 20 days' distance."""
OLD_S = NOW_S - 100 * DAY_S


class Work:
    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str, time_s: float, content: bytes = b"12345") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.date(path, time_s)
        return path

    def json(self, name: str, time_s: float, content: Any) -> Path:
        write_json(self.path / name, content)
        self.date(self.path / name, time_s)
        return self.path / name

    def date(self, path: Path, time_s: float) -> None:
        """Dates a file or folder, what lies in it, and all its parents in the work directory."""
        for one in (*path.rglob("*"), path, *path.parents):
            if one != self.path and one.is_relative_to(self.path):
                os.utime(one, (time_s, time_s))

    def outputs(self, time_s: float, pipeline: str = "evergreen-flights", named_s: float | None = None) -> str:
        stamp = datetime.fromtimestamp(time_s if named_s is None else named_s).strftime("%Y-%m-%d-%H-%M-%S-%f")
        folder = f"pipeline/{pipeline}-{stamp}"
        self.file(f"{folder}/train/model/weights.h5", time_s)
        return folder

    def cached(self, key: str, folder: str, time_s: float) -> str:
        """What KFP's cache knows of an output."""
        uri = f"{self.path}/{folder}/train/model"
        entry = {"model": {"__kfp_artifact__": True, "uri": uri, "metadata": {}}}
        self.json(f"pipeline/.kfp_cache/{key}.json", time_s, entry)
        return f"pipeline/.kfp_cache/{key}.json"

    def run(
        self,
        name: str,
        started_s: float,
        heartbeat_s: float | None = None,
        model: str = "flights",
        snapshot: str | None = None,
    ) -> str:
        folder = f"runs/{name}"
        details = {} if snapshot is None else {"snapshot": snapshot}
        self.json(f"{folder}/records/ingest.json", started_s, {"details": details})
        self.json(f"{folder}/run.json", started_s, {"model": model, "started_s": started_s})
        if heartbeat_s is not None:
            lease = {"pid": 1, "machine": "elsewhere", "model": model, "heartbeat_s": heartbeat_s}
            self.json(f"{folder}/lease.json", heartbeat_s, lease)
        return folder

    def partition(self, digest: str, time_s: float = OLD_S, model: str = "flights") -> str:
        self.file(f"data/{model}/partitions/{digest}/rows.parquet", time_s)
        self.json(f"data/{model}/partitions/{digest}/partition.json", time_s, {})
        return f"data/{model}/partitions/{digest}"

    def snapshot(self, digest: str, partitions: list[str], time_s: float = OLD_S) -> str:
        described = {"partitions": [{"digest": partition} for partition in partitions]}
        self.json(f"data/flights/snapshots/{digest}/snapshot.json", time_s, described)
        return f"data/flights/snapshots/{digest}"

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.path, "flights")

    def version(self, run: str = "", snapshot: str = "", model: str = "flights", **lineage: Any) -> Version:
        """Adds a version, dated long ago."""
        known = {"run": run, "snapshot": snapshot, "base": None, "parent": None, **lineage}

        def fill(folder: Path, number: int) -> None:
            write_json(folder / "lineage.json", {**known, "version": number})
            (folder / "weights.h5").write_bytes(b"weights")

        version = ModelStore(self.path, model).add(fill)
        self.date(self.path / f"models/{model}/versions/{version.number}", OLD_S + version.number)
        return version

    def whole_plan(self, now_s: float = NOW_S, model: str = "flights", **retention: Any) -> Plan:
        return plan(self.path, {model: Retention(**retention)}, now_s)[model]

    def plan(self, now_s: float = NOW_S, model: str = "flights", **retention: Any) -> list[str]:
        return [item.path for item in self.whole_plan(now_s, model, **retention).deletions]

    def clean_up(self, now_s: float = NOW_S, model: str = "flights", **retention: Any) -> Outcome:
        return clean_up(self.path, {model: Retention(**retention)}, now_s)[model]

    def names(self, folder: str) -> set[str]:
        return {path.name for path in (self.path / folder).glob("*")}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    path = (tmp_path / "work").resolve()
    path.mkdir()
    return Work(path)
