"""A small work directory with something of every kind, on any storage, part of which may go."""

import json
from pathlib import Path

from components.artifacts import write_json
from components.cleanup.config import Retention
from components.storage.open import open_storage
from components.storage.storage import Storage
from components.store import ModelStore, verify

DAYS_LATER_S = 200 * 86_400
"""Ages on S3 are the server's, so that the tests look from later on."""
RETENTION = Retention(versions=1, runs=1)
OUTPUTS = "pipeline/evergreen-flights-2013-01-01-00-00-00-000000"
GOING = {
    "models/flights/versions/1",
    "models/flights/versions/9",
    "data/flights/snapshots/s1",
    "data/flights/partitions/p1",
    "data/flights/partitions/p0",
    "runs/run0",
    "runs/run1",
    OUTPUTS,
    "pipeline/.kfp_cache/key.json",
    "checkpoints/aa",
    "requests/flights/a.jsonl",
    "data/flights/partitions/.x.1.tmp",
}


def build(work: Path | str) -> None:
    """Of four versions the third is in service, made from the second, which was before it."""
    storage = open_storage(work)
    for number in range(4):
        _write(storage, f"data/flights/partitions/p{number}/partition.json", {})
        storage.write(f"data/flights/partitions/p{number}/rows.parquet", b"rows")
    for number in range(1, 4):
        described = {"partitions": [{"digest": f"p{number}"}]}
        _write(storage, f"data/flights/snapshots/s{number}/snapshot.json", described)
    for number in range(5):
        _write(storage, f"runs/run{number}/run.json", {"model": "flights", "started_s": number})
        _write(storage, f"runs/run{number}/records/ingest.json", {})
        storage.write(f"runs/run{number}/report.html", b"report")
    for run, snapshot, base in (("run1", "s1", None), ("run2", "s2", None), ("run3", "s3", 2), ("run4", "s3", 3)):
        _version(work, {"run": run, "snapshot": snapshot, "base": base, "parent": base})
    store = ModelStore(work, "flights")
    for number in (2, 3):
        store.point("serving", store.version(number))
    for part in ("train/model/weights.h5", "train/model/network.json", "evaluate/chosen/variant.json"):
        storage.write(f"{OUTPUTS}/{part}", b"output")
    _write(storage, "pipeline/.kfp_cache/key.json", {"model": {"uri": f"/somewhere/{OUTPUTS}/train/model"}})
    storage.write("checkpoints/aa/checkpoint/progress.json", b"{}")
    storage.write("requests/flights/a.jsonl", b"{}\n")
    storage.write("data/flights/partitions/.x.1.tmp/rows.parquet", b"half")
    storage.write("models/flights/versions/9/weights.h5", b"half")
    storage.write("source/flights/2013-01.parquet", b"source")
    storage.write("models/wine/versions/1/weights.h5", b"another's")


def _version(work: Path | str, lineage: dict[str, object]) -> None:
    def fill(folder: Path, number: int) -> None:
        write_json(folder / "lineage.json", {**lineage, "version": number})
        (folder / "serving").mkdir()
        (folder / "serving" / "model.tflite").write_bytes(b"model")

    ModelStore(work, "flights").add(fill)


def _write(storage: Storage, key: str, value: object) -> None:
    storage.write(key, json.dumps(value).encode())


def files(work: Path | str) -> set[str]:
    """The keys of what is neither cleanup's own nor the store's bookkeeping."""
    own = ("cleanup/", "models/flights/pointers/", ".")
    return {entry.key for entry in open_storage(work).entries() if not entry.key.startswith(own)}


def staying(before: set[str]) -> set[str]:
    """The keys that cleanup must leave."""
    return {key for key in before if not any(key == path or key.startswith(f"{path}/") for path in GOING)}


def check(work: Path | str) -> None:
    """The store reads correctly."""
    store = ModelStore(work, "flights")
    assert store.pointed("serving").number == 3
    assert store.pointed("previous").number == 2
    for version in store.versions():
        verify(version)
