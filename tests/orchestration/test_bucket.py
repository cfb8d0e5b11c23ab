"""A run here whose work directory is a bucket: what KFP writes stays on this machine, and its cache hits as ever."""

import shutil
from pathlib import Path

import pytest

from components.artifacts import read_records
from components.storage.open import open_storage
from tests.orchestration.quick import Plant

CACHED = {"preprocess", "train", "compress-float32", "compress-float16"}


class BucketPlant(Plant):
    """A plant whose work directory is a bucket."""

    address = ""

    @property
    def work(self) -> str:  # type: ignore[override]
        return self.address

    def deliver(self, name: str, rows: str) -> None:
        open_storage(self.work).write(f"source/{name}", f"x,late\n{rows}".encode())


@pytest.fixture
def in_bucket(plant: Plant, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketPlant:
    monkeypatch.chdir(tmp_path)
    made = BucketPlant(tmp_path, plant.code)
    made.address = s3_root
    made.deliver("rows.csv", "1.5,0\n2.5,1\n" * 20)
    return made


def test_the_cache_hits_as_in_a_folder(in_bucket: BucketPlant, tmp_path: Path) -> None:
    first = in_bucket.run()
    assert first.cached == set() and first.ran >= CACHED
    storage = open_storage(in_bucket.work)
    storage.write("source/renamed.csv", storage.read("source/rows.csv"))
    storage.delete(["source/rows.csv"])
    again = in_bucket.run()
    assert again.cached == CACHED, "the same bytes under a new name"
    shutil.rmtree(again.output("train"))
    assert in_bucket.run().cached == {"preprocess"}, "a deleted output is made again"
    in_bucket.deliver("more.csv", "3.5,0\n4.5,1\n" * 20)
    assert in_bucket.run().cached == set(), "new data"


def test_the_bucket_has_the_records_and_this_machine_what_kfp_wrote(in_bucket: BucketPlant, tmp_path: Path) -> None:
    outcome = in_bucket.run()
    storage = open_storage(in_bucket.work)
    assert storage.names("pipeline") == [] and storage.names("copies") == []
    assert set(read_records(f"{in_bucket.work}/runs/{outcome.run.name}")) == set(outcome.records)
    assert not storage.exists(f"runs/{outcome.run.name}/lease.json"), "a run that ended"
    beside = tmp_path / ".evergreen" / "buckets" / in_bucket.work.removeprefix("s3://")
    assert outcome.run.beside == beside and (beside / "pipeline").is_dir()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("s3")] == []
