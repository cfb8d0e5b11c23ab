"""The same behaviour on a folder, on S3, and on an S3 server that ignores conditions."""

import errno
import functools
import os
import threading
from pathlib import Path

import pytest
import s3fs

from components.errors import UserError
from components.storage import conditional, numbered
from components.storage.bucket import BucketStorage
from components.storage.folder import FolderStorage
from components.storage.open import open_storage
from components.storage.storage import Storage


@pytest.fixture(params=["folder", "s3", "s3 without conditions"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        return open_storage(tmp_path / "root")
    opened = open_storage(request.getfixturevalue("s3_root"))
    if request.param == "s3 without conditions":
        _ignore_conditions(monkeypatch)
        monkeypatch.setattr(numbered, "SETTLE_S", 0.0)  # enough where nobody else writes
        assert isinstance(opened, BucketStorage) and opened._is_numbered(ask=True)
    return opened


def _ignore_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes of the server one that has never heard of conditional writes, as far as this process can see."""
    prepare = s3fs.S3FileSystem._get_s3_method_kwargs

    def without(self: s3fs.S3FileSystem, method: object, *rest: object, **arguments: object) -> object:
        kept = {name: value for name, value in arguments.items() if name not in ("IfMatch", "IfNoneMatch")}
        return prepare(self, method, *rest, **kept)

    monkeypatch.setattr(s3fs.S3FileSystem, "_get_s3_method_kwargs", without)


def _keys(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(entry.key for entry in storage.entries(prefix) if not entry.key.startswith("."))


def test_what_is_written_is_read_and_listed(storage: Storage) -> None:
    storage.write("a/b/one.txt", b"1")
    storage.write("a/two é.txt", b"22")
    storage.write("a/two é.txt", b"333")
    storage.write("ab/three.txt", b"")
    assert storage.read("a/two é.txt") == b"333" and storage.read("ab/three.txt") == b""
    assert _keys(storage, "a") == ["a/b/one.txt", "a/two é.txt"], "ab is not below a"
    assert storage.names("a") == ["b", "two é.txt"]
    assert storage.names("nothing") == [] and _keys(storage, "nothing") == []
    assert storage.exists("a/b/one.txt") and not storage.exists("a/b") and not storage.exists("nothing")
    entries = {entry.key: entry for entry in storage.entries("a")}
    assert entries["a/two é.txt"].bytes == 3
    assert entries["a/two é.txt"].modified_s > 1.7e9


def test_a_missing_file_is_named(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.read("nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        list(storage.stream("nothing"))


def test_deleting_is_repeatable(storage: Storage) -> None:
    for number in range(3):
        storage.write(f"a/{number}", b"x")
    storage.delete(["a/0", "a/1", "a/7"])
    storage.delete(["a/0"])
    assert _keys(storage) == ["a/2"]
    storage.remove("a")
    storage.remove("a")
    assert _keys(storage) == []


def test_only_the_first_creates(storage: Storage) -> None:
    assert storage.create("versions/1/claim.json", b"mine")
    assert not storage.create("versions/1/claim.json", b"yours")
    assert storage.create("versions/2/claim.json", b"yours")


def test_swapping_needs_what_was_read(storage: Storage) -> None:
    key = "pointers/serving.json"
    assert storage.cell(key) is None
    assert not storage.swap(key, b"0", "no such tag")
    assert storage.swap(key, b"1", None)
    first = storage.cell(key)
    assert first is not None and first.content == b"1"
    assert not storage.swap(key, b"2", None)
    assert storage.swap(key, b"2", first.tag)
    assert not storage.swap(key, b"3", first.tag)
    second = storage.cell(key)
    assert second is not None and second.content == b"2"


def test_of_many_at_once_one_wins(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbered, "SETTLE_S", 1.1)
    created: list[int] = []
    swapped: list[int] = []

    def work(number: int) -> None:
        if storage.create("claim.json", f"claim {number}".encode()):
            created.append(number)
        if storage.swap("cell.json", f"cell {number}".encode(), None):
            swapped.append(number)

    storage.cell("cell.json")  # so that all know at once what the server can do
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == 1 and len(swapped) == 1
    cell = storage.cell("cell.json")
    assert cell is not None and cell.content == f"cell {swapped[0]}".encode()


def test_nothing_is_built_on_a_swap_that_may_still_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without conditional writes: another file of the same second, with a lower id, shows late."""
    storage = FolderStorage(tmp_path)

    def store(letter: str, *_: object) -> None:
        key = f"serving/{1:020}-{letter * 32}.json"
        storage.write(key, letter.encode())
        os.utime(storage.path(key), (1000, 1000))

    cells = numbered.NumberedCells(storage)
    store("b")
    seen = cells.cell("serving.json")
    assert seen is not None and seen.content == b"b"
    monkeypatch.setattr(numbered.time, "sleep", functools.partial(store, "a"))
    assert not cells.swap("serving.json", b"c", seen.tag)
    now = cells.cell("serving.json")
    assert now is not None and now.content == b"a"


def test_a_cell_stays_small_however_often_it_changes(storage: Storage) -> None:
    for number in range(15):
        cell = storage.cell("cell.json")
        assert storage.swap("cell.json", f"{number}".encode(), cell and cell.tag)
    cell = storage.cell("cell.json")
    assert cell is not None and cell.content == b"14"
    assert len(_keys(storage)) <= numbered.KEPT


def test_folders_go_up_and_come_down(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    large = os.urandom(3 << 20)
    (source / "large.bin").write_bytes(large)
    (source / "deep" / "er" / "small").write_bytes(b"small")
    (source / "empty").write_bytes(b"")
    storage.upload(source, "models/m/versions/1")
    assert b"".join(storage.stream("models/m/versions/1/large.bin")) == large
    storage.download("models/m/versions/1", tmp_path / "target")
    found = {path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*")}
    assert found == {"large.bin", "empty", "deep", "deep/er", "deep/er/small"}
    assert (tmp_path / "target" / "large.bin").read_bytes() == large


def test_a_listing_has_pages(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.storage import bucket

    monkeypatch.setattr(bucket, "BATCH", 3)
    storage = open_storage(s3_root)
    for number in range(10):
        storage.write(f"a/{number}/x", b"x")
    assert _keys(storage) == [f"a/{number}/x" for number in range(10)]
    assert storage.names("a") == [str(number) for number in range(10)]
    storage.delete(f"a/{number}/x" for number in range(10))
    assert _keys(storage) == []


def test_an_unfinished_upload_is_found_and_freed(s3_root: str) -> None:
    storage = open_storage(s3_root)
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    key = f"{prefix}/models/large.bin"
    s3fs.S3FileSystem().call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    (upload,) = storage.uploads("models")
    assert upload.key == "models/large.bin" and upload.started_s > 1.7e9
    storage.abort(upload)
    storage.abort(upload)
    assert list(storage.uploads("models")) == []


def test_what_the_server_can_do_is_asked_once(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_storage(s3_root).create("a.json", b"a")
    monkeypatch.setattr(conditional, "_probe", lambda storage, put_if: pytest.fail("asked again"))
    assert open_storage(s3_root).create("b.json", b"b")
    assert {entry.key for entry in open_storage(s3_root).entries()} == {".conditional-writes.json", "a.json", "b.json"}


def test_reading_writes_nothing_into_a_bucket(s3_root: str) -> None:
    storage = open_storage(s3_root)
    assert storage.cell("a.json") is None
    storage.forget("a.json")
    assert list(storage.entries()) == []


def test_a_repeated_request_whose_answer_got_lost_is_no_lost_race(s3_root: str) -> None:
    storage = open_storage(s3_root)
    assert storage.create("claim.json", b"mine")
    assert storage.create("claim.json", b"mine")


def test_errors_of_s3_name_what_was_asked_for_and_no_secret(
    s3_root: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match=r"s3://no-such-bucket/x.*there is no such bucket"):
        list(open_storage("s3://no-such-bucket/x").entries())
    with pytest.raises(OSError, match="no such bucket"):
        open_storage("s3://no-such-bucket/x").write("a", b"")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PermissionError, match="is refused by the server") as refused:
        open_storage(s3_root).read("a")
    assert s3_root in str(refused.value)
    for secret in ("wrong-secret", s3_environment["AWS_SECRET_ACCESS_KEY"], s3_environment["AWS_ACCESS_KEY_ID"]):
        assert secret not in str(refused.value)


def test_a_server_that_is_not_there_is_named(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ConnectionError, match=r"s3://.* cannot be reached.*127\.0\.0\.1:9"):
        open_storage(s3_root).read("a")


@pytest.mark.parametrize("url", ["gs://bucket/x", "ftp://x", "s3://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UserError, match="s3://bucket/prefix"):
        open_storage(url)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "file").symlink_to(tmp_path / "elsewhere" / "file")
    assert list(open_storage(root).entries()) == []


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/x"])
def test_a_key_does_not_lead_out_of_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        FolderStorage(tmp_path).write(key, b"")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(tmp_path)
    storage.write("a", b"old")
    cell = storage.cell("a")
    assert cell is not None

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for write in (
        lambda: storage.write("a", b"new"),
        lambda: storage.swap("a", b"new", cell.tag),
        lambda: storage.create("b", b"new"),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert [entry.key for entry in storage.entries() if entry.key != ".lock"] == ["a"]
    assert storage.read("a") == b"old"
