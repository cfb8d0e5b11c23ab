"""Predictions that go to a bucket of a real S3 server."""

from pathlib import Path

import pytest

from components.predict.output import brought
from components.storage.bucket import BucketStorage
from components.storage.fetched import SCRATCH_VARIABLE
from components.storage.open import open_storage


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "scratch"))


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)


def test_what_is_finished_is_kept_and_a_second_call_adds_the_rest(s3_root: str) -> None:
    with pytest.raises(ValueError), brought(s3_root, ["_manifest.json", "_bad"], ["_summary.json"]) as folder:
        _write(folder, "_manifest.json", "_bad/part-0", "part-0", ".lock")
        raise ValueError
    with brought(s3_root, ["_manifest.json", "_bad"], ["_summary.json"]) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["_bad", "_manifest.json", "part-0"]
        _write(folder, "part-1", "_summary.json")
    keys = {entry.key for entry in open_storage(s3_root).entries()}
    assert keys == {"_manifest.json", "_bad/part-0", "part-0", "part-1", "_summary.json"}


def test_a_kill_leaves_no_shard_without_its_bad_rows(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, sent = BucketStorage._put, []

    def killed(storage: BucketStorage, path: Path, key: str) -> None:
        if path.parent.name == "_bad":
            raise ConnectionError("away")
        sent.append(key)
        real(storage, path, key)

    monkeypatch.setattr(BucketStorage, "_put", killed)
    with (
        pytest.raises(OSError, match="_bad cannot be read or written: away"),
        brought(s3_root, ["_manifest.json", "_bad"], ["_summary.json"]) as folder,
    ):
        _write(folder, "_manifest.json", "_bad/part-0", "part-0")
    assert sent == [], "a call that finds the shard does not make it again"


def test_each_file_is_sent_once(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, sent = BucketStorage._put, []

    def noted(storage: BucketStorage, path: Path, key: str) -> None:
        sent.append(path.name)
        real(storage, path, key)

    monkeypatch.setattr(BucketStorage, "_put", noted)
    with brought(s3_root, ["_manifest.json", "_bad"], ["_summary.json"]) as folder:
        _write(folder, "_manifest.json", "_bad/bad-0", "part-0", "_summary.json")
    assert sorted(sent) == ["_summary.json", "bad-0", "part-0"]
    assert open_storage(s3_root).read("_manifest.json") == b"_manifest.json"
