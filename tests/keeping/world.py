"""What the tests know of a work directory, and what runs leave in it."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from components import artifacts
from components.cleanup.config import Retention
from components.storage.open import open_storage
from components.storage.process import this_process
from components.store import ModelStore
from tests.keeping.pretence import BEGIN_S, Pretence

LEASE_S, DAY_S = 15 * 60, 86_400
PARTITION_FILES = ("rows.parquet", "partition.json")
VERSION_FILES = ("checksums.json", "lineage.json", "serving/model.tflite")


@dataclass(frozen=True)
class Pointers:
    serving: int | None = None
    previous: int | None = None
    candidate: int | None = None
    withdrawn: frozenset[int] = frozenset()
    pins: frozenset[int] = frozenset()

    def serve(self, number: int) -> "Pointers":
        """To go back withdraws what was in service."""
        withdrawn = self.withdrawn - {number}
        if self.serving in (None, number):
            return replace(self, serving=number, withdrawn=withdrawn)
        if self.serving > number:
            withdrawn |= {self.serving}
        return replace(self, serving=number, previous=self.serving, withdrawn=withdrawn)

    @property
    def named(self) -> set[int]:
        return {number for number in (self.serving, self.previous, self.candidate) if number is not None} | self.pins

    @classmethod
    def read(cls, store: ModelStore) -> "Pointers":
        serving, previous, candidate = (store.number(name) for name in ("serving", "previous", "candidate"))
        return cls(serving, previous, candidate, frozenset(store.withdrawn()), frozenset(store.pins()))


@dataclass
class Run:
    name: str
    model: str
    where: str
    """`here`, `elsewhere`, or `cluster`, where only steps hold leases and the last one tells whose the run was."""
    started_s: float
    snapshot: str
    outputs: str
    base: int | None
    process: int = 0
    heartbeat_s: float = 0.0
    state: str = "alive"
    """`waiting` for a cleanup, `alive`, `dead`, or `done`."""

    @property
    def lease(self) -> str:
        """Who is at work on it."""
        return f"runs/{self.name}/{'leases/train.json' if self.where == 'cluster' else 'lease.json'}"

    def in_progress(self, now_s: float, written_s: float) -> bool:
        """As far as others can tell: a lease counts for a quarter of an hour, a silent run on a cluster for a day."""
        if self.state in ("done", "waiting"):
            return False
        if self.where == "here":
            return self.state == "alive"
        is_silent = self.where == "cluster" and now_s - written_s < DAY_S
        return is_silent or abs(now_s - self.heartbeat_s) < LEASE_S


def generation(time_s: float, days: int) -> int:
    return int(time_s / DAY_S) // days


def is_living(time_s: float, now_s: float, days: int) -> bool:
    """Whether what was written then is of this generation, or the one before."""
    return generation(time_s, days) >= generation(now_s, days) - 1


@dataclass
class Model:
    name: str
    retention: Retention
    partitions: list[str] = field(default_factory=list)
    pointers: Pointers = field(default_factory=Pointers)
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Lineages of all versions that ever were."""
    snapshots: dict[str, tuple[str, ...]] = field(default_factory=dict)


class World:
    """A work directory."""

    def __init__(self, work: Path | str, pretence: Pretence) -> None:
        self.work, self.storage = work, open_storage(work)
        self.clock, self.processes, self._dates = pretence.clock, pretence.processes, pretence.dates
        self.clock.now_s = BEGIN_S
        self.models: dict[str, Model] = {}
        self.runs: dict[str, Run] = {}
        self.outputs: dict[str, tuple[str, float]] = {}
        """Model and time of the folders below `pipeline`."""
        self.entries: dict[str, tuple[str, list[str]]] = {}
        """What the cache knows: folder and files of an output, by key."""
        self.freed: set[str] = set()
        """What runs themselves deleted."""
        self._count = 0

    def look(self) -> dict[str, float]:
        return self._dates.look(self.storage)

    def store(self, model: Model) -> ModelStore:
        return ModelStore(self.work, model.name)

    def write(self, key: str, value: Any) -> None:
        self.storage.write(key, json.dumps(value).encode())

    def next(self) -> int:
        self._count += 1
        return self._count

    def begin(self, model: Model, where: str, change: str) -> Run:
        """A run takes its lease."""
        self._change_data(model, change)
        snapshot = "s-" + "-".join(model.partitions)
        model.snapshots[snapshot] = tuple(model.partitions)
        now_s, number = self.clock.now_s, self.next()
        stamp = datetime.fromtimestamp(now_s).strftime("%Y-%m-%d-%H-%M-%S-%f")
        outputs = f"pipeline/evergreen-{model.name}-{stamp}"
        base = model.pointers.serving
        run = Run(f"run{number}", model.name, where, now_s, snapshot, outputs, base, self.processes.start())
        self.runs[run.name] = run
        if where != "cluster":
            self.write(f"runs/{run.name}/run.json", {"model": model.name, "started_s": now_s})
        self.beat(run)
        return run

    def beat(self, run: Run) -> None:
        run.heartbeat_s = self.clock.now_s
        here = {**this_process(), "host": socket.gethostname(), "pid": run.process}
        holder = here if run.where == "here" else {"host": "elsewhere", "machine": "elsewhere", "pid": run.process}
        lease = {**holder, "heartbeat_s": run.heartbeat_s}
        if run.where != "cluster":
            lease["model"] = run.model
        self.write(run.lease, lease)

    def work_on(self, run: Run) -> None:
        """What a run leaves until it deploys."""
        model = self.models[run.model]
        for partition in model.snapshots[run.snapshot]:
            folder = f"data/{model.name}/partitions/{partition}"
            if not self.storage.exists(f"{folder}/partition.json"):
                self.storage.write(f"{folder}/rows.parquet", b"rows")
                self.write(f"{folder}/partition.json", {})
        manifest = f"data/{model.name}/snapshots/{run.snapshot}/snapshot.json"
        if not self.storage.exists(manifest):
            described = [{"digest": partition} for partition in model.snapshots[run.snapshot]]
            self.write(manifest, {"partitions": described})
        self.write(f"runs/{run.name}/records/ingest.json", {"details": {"snapshot": run.snapshot}})
        self.write(f"runs/{run.name}/records/resolve.json", {"details": {"days": model.retention.days}})
        self.outputs[run.outputs] = (model.name, self.clock.now_s)
        self.write(f"{run.outputs}/finish/report.html", "")
        self._train(run, model)
        self.write(f"checkpoints/{run.name}/progress.json", {})

    def _train(self, run: Run, model: Model) -> None:
        """A cached step: what it finds in the cache must be there."""
        key = f"pipeline/.kfp_cache/{model.name}.{run.snapshot}.{generation(run.started_s, model.retention.days)}.json"
        if self.storage.exists(key):
            assert all(map(self.storage.exists, self.entries[key][1])), f"{run.name} got from the cache what is gone"
            return
        files = [f"{run.outputs}/train/model/{name}" for name in ("weights.h5", "network.json")]
        for file in files:
            self.storage.write(file, b"output")
        self.entries[key] = (run.outputs, files)
        self.write(key, {"model": {"uri": f"/somewhere/{run.outputs}/train/model"}})

    def end(self, run: Run) -> None:
        self.write(f"runs/{run.name}/records/finish.json", {})
        own = {f"checkpoints/{run.name}/progress.json", run.lease}
        self.storage.delete(own)
        self.freed |= own
        if run.where == "cluster":
            self.write(f"runs/{run.name}/run.json", {"model": run.model, "started_s": run.started_s})
        run.state = "done"
        self.processes.living.discard(run.process)

    def die(self, run: Run) -> None:
        run.state = "dead"
        self.processes.living.discard(run.process)

    def add(self, model: Model, run: str, snapshot: str, base: int | None) -> int:
        """Adds a version."""
        lineage = {"run": run, "snapshot": snapshot, "base": base, "parent": model.pointers.serving}

        def fill(folder: Path, number: int) -> None:
            model.versions[number] = lineage
            artifacts.write_json(folder / "lineage.json", {**lineage, "version": number})
            (folder / "serving").mkdir()
            (folder / "serving" / "model.tflite").write_bytes(b"model")

        return self.store(model).add(fill).number

    def _change_data(self, model: Model, change: str) -> None:
        if change == "back" and model.snapshots:
            model.partitions = list(next(iter(model.snapshots.values())))
        elif change == "other" and model.partitions:
            model.partitions = [*model.partitions[:-1], f"p{self.next()}"]
        elif change == "more" or not model.partitions:
            model.partitions = [*model.partitions, f"p{self.next()}"][-4:]

    def damage(self, model: Model, what: Sequence[str]) -> None:
        """Leaves what killed processes leave, and what a server logs."""
        number = self.next()
        places = {
            "partition": f"data/{model.name}/partitions/.p{number}.tmp/rows.parquet",
            "cache": f"pipeline/.kfp_cache/.key{number}.tmp",
            "requests": f"requests/{model.name}/{number}.jsonl",
            "checkpoint": f"checkpoints/c{number}/progress.json",
        }
        for one in what:
            self.storage.write(places[one], b"12345678")
