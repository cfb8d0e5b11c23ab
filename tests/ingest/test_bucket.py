"""Partitions and snapshots in a bucket of a real S3 server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.artifacts import Snapshot
from components.ingest.config import Ingest, IngestConfig
from components.ingest.ingest import ingest
from components.ingest.partitions import Partitions
from components.storage.fetched import BESIDE_VARIABLE, SCRATCH_VARIABLE
from components.storage.open import open_storage
from tests.ingest.place import Place, csv_text, make_data

ROOT = Path(__file__).parents[2]
CONFIG = IngestConfig(data=make_data(), ingest=Ingest(source="{work}/source/*.csv", max_bad_rows=1))
FILES = {f"{name}.csv": csv_text({"id": name, "price": price}) for name, price in (("a", "1.5"), ("b", "2.5"))}
KILLED = """
import os, sys
from components.storage.bucket import BucketStorage
from tests.ingest.test_bucket import CONFIG, ingest

left = int(sys.argv[2])

def counted(method):
    def call(self, *arguments):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return method(self, *arguments)
    return call

for name in ("write", "_put", "delete"):
    setattr(BucketStorage, name, counted(getattr(BucketStorage, name)))
ingest(CONFIG, sys.argv[1], "model", "")
"""


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "scratch"))


@pytest.fixture
def work(s3_root: str) -> str:
    storage = open_storage(s3_root)
    for name, text in FILES.items():
        storage.write(f"source/{name}", text.encode())
    return s3_root


def _rows(snapshot: Snapshot, place: Place) -> list[dict]:
    return place.rows(snapshot).to_pylist()


def test_a_bucket_holds_what_a_folder_would(work: str, place: Place) -> None:
    for name, text in FILES.items():
        place.put(name, text)
    local = place.ingest("*.csv")
    address = ingest(CONFIG, work, "model", "")
    remote = Snapshot.read(address, work)
    assert address == f"{work}/data/model/snapshots/{local.digest}"
    assert (remote.digest, _rows(remote, place)) == (local.digest, _rows(local, place))


def test_a_second_run_writes_nothing_but_its_record(work: str) -> None:
    first = ingest(CONFIG, work, "model", "")
    before = set(open_storage(work).entries("data"))
    assert ingest(CONFIG, work, "model", "") == first
    assert set(open_storage(work).entries("data")) == before


def test_a_run_on_this_machine_hands_on_a_path_and_partitions_stay_in_the_bucket(
    work: str, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(BESIDE_VARIABLE, str(tmp_path / "beside"))
    handed_on = ingest(CONFIG, work, "model", "")
    assert Path(handed_on).is_dir() and ingest(CONFIG, work, "model", "") == handed_on
    assert place.rows(Snapshot.read(Path(handed_on), work)).num_rows == 2


def test_a_partition_without_its_description_is_none(work: str) -> None:
    address = ingest(CONFIG, work, "model", "")
    (partition, _) = Snapshot.read(address, work).partitions
    storage = open_storage(f"{work}/data/model")
    storage.delete([f"partitions/{partition.digest}/rejected.parquet"])
    assert Partitions(storage.url).find(partition.digest) is None
    assert ingest(CONFIG, work, "model", "") == address
    assert Partitions(storage.url).find(partition.digest) is not None


@pytest.mark.parametrize("nth", [2, 4, pytest.param(6, marks=pytest.mark.nightly)])
def test_a_run_that_is_killed_is_repeated(work: str, place: Place, nth: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, work, str(nth)], cwd=ROOT, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    address = ingest(CONFIG, work, "model", "")
    assert {row["id"] for row in _rows(Snapshot.read(address, work), place)} == {"a", "b"}
