"""How long cleanup takes to plan, and how much memory, in a work directory of 100,000 files, in a folder and on S3."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import s3fs
import xxhash
from rich.table import Table

from benchmarks.claims import Claim, at_most
from components.store import ModelStore
from tests.s3 import server

ROOT = Path(__file__).parents[2]
OBJECTS = 100_000
RUNS, VERSIONS, PARTITIONS, REQUESTS = 400, 100, 2000, 100
FILES_A_RUN, FILES_A_VERSION, PARTITIONS_A_SNAPSHOT, CACHED_TASKS = 12, 40, 60, 50
METADATA = {str(number): "x" * 20 for number in range(20)}
"""About what KFP keeps of a task's output."""
DAYS_LATER = 200
"""S3 dates what is written by itself, so that the plan is made for a day on which all of it is old."""
WRITERS = 64
LIMIT_S, LIMIT_MB = 30, 500
BUCKET, PREFIX = "evergreen", "work"
File = tuple[str, bytes]


def measure(work: Path) -> tuple[list[Table], list[Claim]]:
    """Lays the files out twice, and plans each time in a fresh process.

    Args:
        work: where the folder and the server's files are; they are removed in the end.
    """
    work.mkdir(parents=True, exist_ok=True)
    table = Table("where", "files", "may go", "of it versions", "seconds", "peak MB", title="dry run of cleanup")
    claims = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for where, planned in {"a folder": _in_folder, "S3": _in_bucket}.items():
            found = planned(Path(folder))
            may_go = f"{found['deletions']:,} places, {found['bytes'] / 1e6:.0f} MB"
            figures = (f"{found['seconds']:.1f}", f"{found['peak_mb']:.0f}")
            table.add_row(where, f"{found['files']:,}", may_go, str(found["versions"]), *figures)
            claims.append(at_most(f"plan for {OBJECTS:,} files in {where}, s", found["seconds"], LIMIT_S))
            claims.append(at_most(f"plan for {OBJECTS:,} files in {where}, peak MB", found["peak_mb"], LIMIT_MB))
    return [table], claims


def _in_folder(folder: Path) -> dict[str, Any]:
    made: set[Path] = set()

    def write(key: str, content: bytes) -> None:  # without waiting for the disk, unlike the product
        path = folder / "work" / key
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(content)

    for file in _files(_cache()):
        write(*file)
    return _planned(str(folder / "work"))


def _in_bucket(folder: Path) -> dict[str, Any]:
    (folder / "s3").mkdir()
    with server(folder / "s3") as environment:
        os.environ.update(environment)
        filesystem = s3fs.S3FileSystem(skip_instance_cache=True)
        filesystem.mkdir(BUCKET)
        filesystem.pipe({f"{BUCKET}/{PREFIX}/{key}": content for key, content in _files()}, batch_size=WRITERS)
        return _planned(f"s3://{BUCKET}/{PREFIX}")


def _planned(work: str) -> dict[str, Any]:
    """Plans; the seconds are those of the whole process, imports included."""
    store = ModelStore(work, "flights")
    for number in (VERSIONS - 20, VERSIONS - 10):
        store.point("serving", store.version(number))
    files = sum(1 for _ in store.storage.entries())
    command = [sys.executable, "-m", "benchmarks.keeping.plan_alone", work, str(time.time() + DAYS_LATER * 86_400)]
    start = time.perf_counter()
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return {**json.loads(printed), "seconds": time.perf_counter() - start, "files": files}


def _files(cache: Iterable[File] = ()) -> Iterator[File]:
    """What 400 runs of one model leave, filled up with files of their outputs.

    KFP's local runner keeps its cache in a folder always: there is none in a bucket.
    """
    rest = [*_partitions(), *_runs(), *_versions(), *cache, *_requests()]
    yield from rest
    outputs = (f"{_outputs(run)}/train/model/part-{number}" for number in itertools.count() for run in range(RUNS))
    yield from ((key, b"x" * 100) for key in itertools.islice(outputs, OBJECTS - len(rest)))


def _partitions() -> Iterator[File]:
    for number in range(PARTITIONS):
        for name in ("rows.parquet", "rejected.parquet", "partition.json"):
            yield f"data/flights/partitions/{number:032x}/{name}", b"{}"
    for run in range(RUNS):
        last = (run + 1) * PARTITIONS // RUNS
        digests = range(max(0, last - PARTITIONS_A_SNAPSHOT), last)
        described = {"partitions": [{"digest": f"{number:032x}"} for number in digests]}
        yield f"data/flights/snapshots/{run:032x}/snapshot.json", json.dumps(described).encode()


def _runs() -> Iterator[File]:
    for run in range(RUNS):
        yield f"runs/{_name(run)}/run.json", json.dumps({"model": "flights", "started_s": run}).encode()
        record = {"details": {"snapshot": f"{run:032x}"}}
        yield f"runs/{_name(run)}/records/ingest.json", json.dumps(record).encode()
        for number in range(FILES_A_RUN - 2):
            yield f"runs/{_name(run)}/records/step-{number}.json", b"{}"


def _versions() -> Iterator[File]:
    for number in range(1, VERSIONS + 1):
        made = {"run": _name(number), "snapshot": f"{number:032x}", "base": number - 1, "parent": number - 1}
        files = {f"vocabulary/{file}.json": b"{}" for file in range(FILES_A_VERSION - 2)}
        files["lineage.json"] = json.dumps(made).encode()
        checksums = {name: xxhash.xxh3_128_hexdigest(content) for name, content in files.items()}
        files["checksums.json"] = json.dumps(checksums).encode()
        for name, content in files.items():
            yield f"models/flights/versions/{number}/{name}", content


def _cache() -> Iterator[File]:
    for run in range(RUNS):
        for task in range(CACHED_TASKS):
            entry = {
                "model": {"__kfp_artifact__": True, "uri": f"/kept/{_outputs(run)}/train/model", "metadata": METADATA}
            }
            yield f"pipeline/.kfp_cache/{run:032x}{task:032x}.json", json.dumps(entry).encode()


def _requests() -> Iterator[File]:
    for number in range(REQUESTS):
        yield f"requests/flights/{number:016}-1-ab.jsonl", b"{}\n"


def _name(run: int) -> str:
    return f"{run:04}-flights"


def _outputs(run: int) -> str:
    stamp = datetime(2013, 1, 1) + timedelta(days=run)
    return f"pipeline/evergreen-flights-{stamp:%Y-%m-%d-%H-%M-%S-%f}"
