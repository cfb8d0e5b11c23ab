"""Copies of what lies in a bucket of a real S3 server, made once and whole."""

import os
from pathlib import Path

import pytest

from components.errors import UserError
from components.storage import fetched as module
from components.storage.address import joined, name_of, parent_of
from components.storage.bucket import BucketStorage
from components.storage.fetched import fetched, fetched_file, forget_copies, kept_at
from components.storage.open import open_storage
from components.store import CHECKSUMS, ModelStore, on_disk


@pytest.fixture(autouse=True)
def _beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.BESIDE_VARIABLE, str(tmp_path / "beside"))


def _version(work: str) -> str:
    version = ModelStore(work, "m").add(lambda folder, number: (folder / "weights").write_bytes(b"1") and None)
    return str(version.location)


def test_addresses_are_joined_and_parted() -> None:
    for root in (Path("/a/b"), "s3://a/b"):
        assert parent_of(parent_of(joined(root, "c/d"))) == root
        assert name_of(joined(root, "c/d")) == "d"
    assert joined("s3://a/b/", "c") == "s3://a/b/c"


def test_what_lies_on_this_machine_is_not_copied(tmp_path: Path) -> None:
    assert fetched(tmp_path) == tmp_path and fetched_file(str(tmp_path / "a")) == tmp_path / "a"
    assert on_disk(tmp_path) == tmp_path
    assert not (tmp_path / "beside").exists()


def test_a_copy_is_made_once(s3_root: str) -> None:
    storage = open_storage(s3_root)
    storage.write("data/m/snapshots/d/snapshot.json", b"1")
    copy = fetched(f"{s3_root}/data/m/snapshots/d")
    assert (copy / "snapshot.json").read_bytes() == b"1"
    assert copy.parts[-4:] == ("data", "m", "snapshots", "d"), "who reads it may need its name"
    storage.delete(["data/m/snapshots/d/snapshot.json"])
    assert fetched(f"{s3_root}/data/m/snapshots/d") == copy
    assert fetched_file(f"{s3_root}/data/m/snapshots/d/snapshot.json").read_bytes() == b"1"


def test_a_copy_that_fails_leaves_nothing(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_storage(s3_root).write("a/b", b"1")

    def torn(storage: BucketStorage, prefix: str, folder: Path) -> None:
        (folder / "half").write_bytes(b"")
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(BucketStorage, "download", torn)
        with pytest.raises(ConnectionError):
            fetched(f"{s3_root}/a")
    assert (fetched(f"{s3_root}/a") / "b").read_bytes() == b"1"
    with pytest.raises(FileNotFoundError):
        fetched_file(f"{s3_root}/a/none")


def test_copies_that_nobody_used_are_forgotten(s3_root: str, tmp_path: Path) -> None:
    storage = open_storage(s3_root)
    for name in ("old", "new"):
        storage.write(f"{name}/file", b"1")
        os.utime(fetched_file(f"{s3_root}/{name}/file"), (1000, 1000))
    kept = fetched_file(f"{s3_root}/new/file")
    forget_copies(2000)
    assert [path for path in (tmp_path / "beside").rglob("*") if path.is_file()] == [kept]


def test_a_version_is_copied_and_a_damaged_copy_is_made_anew(s3_root: str) -> None:
    address = _version(s3_root)
    copy = on_disk(address)
    assert (copy / "weights").read_bytes() == b"1"
    (copy / "weights").write_bytes(b"2")
    assert (on_disk(address) / "weights").read_bytes() == b"1"
    assert list(on_disk(f"{s3_root}/empty").iterdir()) == [], "there is no model yet"


def test_a_store_that_was_filled_anew_is_not_taken_for_the_old_one(s3_root: str) -> None:
    address = _version(s3_root)
    before = on_disk(address)
    storage = open_storage(address)
    storage.write(CHECKSUMS, storage.read(CHECKSUMS) + b"\n")
    assert on_disk(address) != before
    storage.write("weights", b"3")
    with pytest.raises(UserError, match="weights is changed since version 1 was made"):
        on_disk(f"{parent_of(address)}/1") and storage.write(CHECKSUMS, storage.read(CHECKSUMS) + b"\n")
        on_disk(address)
    storage.delete([CHECKSUMS])
    with pytest.raises(UserError, match="is not there any more"):
        on_disk(address)


def test_what_a_step_tells_is_kept_even_when_it_fails(s3_root: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError), kept_at(f"{s3_root}/runs/r", tmp_path / "told") as folder:
        (folder / "log").write_bytes(b"said")
        raise ValueError
    assert open_storage(s3_root).read("runs/r/log") == b"said"


def test_two_who_copy_a_version_at_once_get_one_copy(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, real, others = _version(s3_root), BucketStorage.download, []

    def overtaken(storage: BucketStorage, prefix: str, folder: Path) -> None:
        if not others:
            others.append(None)
            others[0] = on_disk(address)
        real(storage, prefix, folder)

    monkeypatch.setattr(BucketStorage, "download", overtaken)
    copy = on_disk(address)
    assert others == [copy] and (copy / "weights").read_bytes() == b"1"
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "nothing is left beside"
