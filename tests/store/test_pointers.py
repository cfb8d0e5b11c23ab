"""Pointers, pins and whole versions: the same in a folder and in a bucket."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from components.artifacts import LINEAGE, write_json
from components.errors import UserError
from components.storage import numbered
from components.storage.bucket import BucketStorage
from components.storage.conditional import CONDITIONAL
from components.storage.open import open_storage
from components.store import CHECKSUMS, ModelStore, pointers, verify
from components.store.copies import download
from tests.store.faults import fill


def _deployed(store: ModelStore, count: int) -> None:
    for _ in range(count):
        store.point("serving", store.add(fill))


def test_an_empty_store(store: ModelStore) -> None:
    assert store.versions() == [] and store.numbers() == [] and store.named() == {}
    assert store.pointed("serving") is None and store.pointed("previous") is None
    with pytest.raises(UserError, match="m has nothing to roll back to"):
        store.rollback()


def test_rollback_goes_back_and_withdraws(store: ModelStore) -> None:
    _deployed(store, 2)
    assert store.rollback() == store.version(1)
    assert (store.number("serving"), store.number("previous"), store.withdrawn()) == (1, 2, (2,))
    assert store.rollback() == store.version(2), "and forth again"
    assert (store.number("serving"), store.number("previous"), store.withdrawn()) == (2, 1, ())


def test_rollback_refuses_when_another_version_went_into_service_meanwhile(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deployed(store, 2)
    third = store.add(fill)
    version = ModelStore.version

    def meanwhile(self: ModelStore, number: int) -> object:
        monkeypatch.undo()
        store.point("serving", third)
        return version(self, number)

    monkeypatch.setattr(ModelStore, "version", meanwhile)
    with pytest.raises(UserError, match="version 3 went into service meanwhile"):
        store.rollback()
    assert (store.number("serving"), store.number("previous")) == (3, 2)


def test_a_candidate_is_named_and_promoted(store: ModelStore) -> None:
    _deployed(store, 1)
    second = store.add(fill)
    store.point("candidate", second)
    assert store.named() == {1: "serving", 2: "candidate"}
    store.point("serving", second)
    assert store.named() == {1: "previous", 2: "serving"}


def test_pins_are_named_with_their_reason(store: ModelStore) -> None:
    for _ in range(2):
        store.add(fill)
    store.pin(1, "the audit of 2026, § 3")
    store.pin(2, "b")
    store.pin(2, "c")
    store.unpin(7)
    assert store.pins() == {1: "the audit of 2026, § 3", 2: "c"}
    assert store.named()[1] == "pinned: the audit of 2026, § 3"
    store.unpin(1)
    assert store.named() == {2: "pinned: c"}
    with pytest.raises(UserError, match=r"version 7 is not in .*; the versions there are: 1, 2"):
        store.pin(7, "x")


def test_a_version_is_not_named_while_its_base_is_being_deleted(store: ModelStore) -> None:
    _deployed(store, 1)
    child = store.add(lambda folder, number: write_json(folder / LINEAGE, {"base": 1, "parent": None}))

    def nobody_wants_it() -> list[int]:
        for name in (lambda: store.pin(2, "now"), lambda: store.point("candidate", child)):
            with pytest.raises(UserError, match="version 1 of m, from which version 2 was made, is being deleted"):
                name()
        return []

    assert store.remove(1, nobody_wants_it)
    store.pin(2, "it was gone before")
    assert set(store.named()) == {1, 2}, "and what serving named is told"


def test_a_flipped_bit_is_refused_with_the_files_name(store: ModelStore) -> None:
    _deployed(store, 1)
    second = store.add(fill)
    store.point("candidate", second)
    key = "models/m/versions/2/serving/model.tflite"
    content = bytearray(store.storage.read(key))
    content[17] ^= 1
    store.storage.write(key, bytes(content))
    with pytest.raises(UserError, match=r"versions/2/serving/model\.tflite is changed since version 2 was made"):
        store.point("serving", second)
    store.storage.delete([key])
    with pytest.raises(UserError, match=r"versions/2/serving/model\.tflite is missing"):
        store.replace(1, second)
    assert store.number("serving") == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"{}", r"serving/model\.tflite is not listed in .*checksums\.json"),
        (b"[]", r"checksums\.json is damaged \(it is no object\)"),
        (b'{"/etc/passwd": "x"}', r"checksums\.json is damaged \('/etc/passwd' is no file's name\)"),
        (b'{"../x": "x"}', r"checksums\.json is damaged"),
        (b'{"a\\u0000b": "x"}', r"checksums\.json is damaged"),
        (b'{"lineage.json": 7}', r"lineage\.json is changed"),
        (b'{"lineage.json/x": "x"}', r"lineage\.json/x is missing"),
    ],
)
def test_damaged_checksums_are_named(store: ModelStore, damage: bytes, words: str) -> None:
    version = store.add(fill)
    if damage == b"{}":
        store.storage.delete(["models/m/versions/1/lineage.json"])
    store.storage.write(f"models/m/versions/1/{CHECKSUMS}", damage)
    with pytest.raises(UserError, match=words):
        verify(version)


def test_every_flipped_bit_of_the_checksums_is_found(tmp_path: Path) -> None:
    version = ModelStore(tmp_path, "m").add(fill)
    good = (version.path / CHECKSUMS).read_bytes()
    for bit in range(len(good) * 8):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        (version.path / CHECKSUMS).write_bytes(damaged)
        if _meaning(bytes(damaged)) != _meaning(good):
            with pytest.raises(UserError, match="versions/1/"):
                verify(version)


def _meaning(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_a_claim_is_no_part_of_a_version(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it where it is a numbered file."""
    verify(ModelStore(f"{s3_root}/a", "m").add(fill))
    monkeypatch.setattr(numbered, "SETTLE_S", 0.0)
    open_storage(f"{s3_root}/b").write(CONDITIONAL, b'{"conditional": false}')
    verify(ModelStore(f"{s3_root}/b", "m").add(fill))


def test_what_a_file_system_leaves_beside_a_version_is_no_damage(store: ModelStore) -> None:
    version = store.add(fill)
    store.storage.write("models/m/versions/1/serving/.nfs0001", b"x")
    verify(version)
    store.storage.write("models/m/versions/1/serving/other.tflite", b"x")
    with pytest.raises(UserError, match=r"serving/other\.tflite is not listed"):
        verify(version)


def test_a_damaged_lineage_is_named(store: ModelStore) -> None:
    version = store.add(fill)
    for damage in (b"{", b"[]", b"\xff"):
        store.storage.write(f"models/m/versions/1/{LINEAGE}", damage)
        with pytest.raises(UserError, match=r"versions/1/lineage\.json is damaged"):
            _ = version.lineage
        assert version.origins() == set()
    store.storage.write(f"models/m/versions/1/{LINEAGE}", b'{"base": [1], "parent": "2"}')
    assert version.origins() == set()


def test_only_numbers_as_the_store_writes_them_are_versions(store: ModelStore) -> None:
    store.add(fill)
    store.storage.write("models/m/versions/01/checksums.json", b"{}")
    store.storage.write("models/m/pointers/doomed/01.json", b"{}")
    assert store.numbers() == [1] and [version.number for version in store.versions()] == [1]
    assert store.doomed() == []


def test_previous_is_never_what_is_in_service(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    _deployed(store, 2)
    shutil.rmtree(store.version(2).path)
    store.point("serving", store.version(1))
    assert (store.number("serving"), store.number("previous")) == (1, None)


def test_a_pin_has_a_reason(store: ModelStore) -> None:
    store.add(fill)
    with pytest.raises(UserError, match="version 1 is not pinned without a reason"):
        store.pin(1, " ")
    assert store.pins() == {}


def test_a_store_of_before_keeps_what_was_previous_and_withdrawn(tmp_path: Path) -> None:
    """As the store wrote its pointers until they had an id."""
    store = ModelStore(tmp_path, "m")
    for _ in range(3):
        store.add(fill)
    pointers = tmp_path / "models" / "m" / "pointers"
    write_json(pointers / "serving.json", {"version": 1})
    write_json(pointers / "previous.json", {"version": 3})
    write_json(pointers / "withdrawn.json", {"versions": [3]})
    assert (store.number("serving"), store.number("previous"), store.withdrawn()) == (1, 3, (3,))
    assert store.named() == {1: "serving", 3: "previous"}
    with pytest.raises(UserError, match="version 3 was withdrawn"):
        store.replace(1, store.version(3))
    store.point("serving", store.version(2))
    assert (store.number("serving"), store.number("previous"), store.withdrawn()) == (2, 1, (3,))
    (pointers / "previous.json").write_text("{")
    assert store.number("previous") == 1, "it is not read any more"
    write_json(pointers / "serving.json", {"version": 2})
    with pytest.raises(UserError, match=r"previous\.json is damaged .*; delete it"):
        store.number("serving")


def test_the_remedy_for_a_damaged_pointer_names_what_is_read(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server without conditional writes that is one of several numbered files."""
    monkeypatch.setattr(numbered, "SETTLE_S", 0.0)
    storage = open_storage(s3_root)
    storage.write(CONDITIONAL, b'{"conditional": false}')
    store = ModelStore(s3_root, "m")
    assert storage.create("models/m/pointers/candidate.json", b"{")
    with pytest.raises(UserError, match=r"s3://\S+/candidate/0{19}1-\w+\.json is damaged") as damaged:
        store.number("candidate")
    address = str(damaged.value).split(" ")[0]
    storage.write(address.removeprefix(f"{storage.url}/"), b'{"version": null}')
    assert store.number("candidate") is None


def test_a_version_is_downloaded_whole_or_not_at_all(store: ModelStore, tmp_path: Path) -> None:
    version = store.add(fill)
    target = tmp_path / "cache" / "1"
    copy = download(version, target)
    verify(copy)
    assert copy.path == target and copy.lineage == version.lineage
    assert download(version, target) == copy, "what is there is taken"
    (target / "serving" / "model.tflite").write_bytes(b"other")
    with pytest.raises(UserError, match=r"model\.tflite is changed"):
        download(version, target)
    store.storage.write("models/m/versions/1/serving/model.tflite", b"damaged")
    with pytest.raises(UserError, match=r"models/m/versions/1/serving/model\.tflite is changed"):
        download(version, tmp_path / "cache" / "2")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["1"], "what is damaged is not kept"


def test_a_version_in_a_bucket_has_no_path(s3_root: str) -> None:
    version = ModelStore(s3_root, "m").add(fill)
    assert version.location == f"{s3_root}/models/m/versions/1"
    assert version.lineage["version"] == 1
    with pytest.raises(UserError, match="is not on this machine; download the version first"):
        _ = version.path


def test_a_version_without_checksums_is_none(s3_root: str) -> None:
    store = ModelStore(s3_root, "m")
    store.add(fill)
    store.storage.delete([f"models/m/versions/1/{CHECKSUMS}"])
    assert store.versions() == [] and store.find(1) is None
    with pytest.raises(UserError, match=r"version 1 is not in s3://.*; the versions there are: none"):
        store.version(1)
    assert store.add(fill).number == 2, "its number is not given again"


@pytest.mark.parametrize("uploaded", [0, 1])
def test_an_upload_that_fails_leaves_nothing(s3_root: str, monkeypatch: pytest.MonkeyPatch, uploaded: int) -> None:
    store = ModelStore(s3_root, "m")
    _deployed(store, 1)

    def fail(self: BucketStorage, folder: Path, prefix: str) -> None:
        for number in range(uploaded):
            self.write(f"{prefix}/{number}", b"x")
        raise OSError("no room")

    monkeypatch.setattr(BucketStorage, "upload", fail)
    with pytest.raises(OSError, match="no room"):
        store.add(fill)
    assert store.numbers() == [1]
    assert not list(open_storage(s3_root).entries("models/m/versions/2"))


def test_a_damaged_pointer_is_named_and_mended_by_moving_it(store: ModelStore) -> None:
    _deployed(store, 2)
    key = "models/m/pointers/serving.json"
    for damage in (b"{", b"[]", b"{}", b'{"version": "x"}', b'{"version": 1e400}', b"\xff"):
        cell = store.storage.cell(key)
        assert cell is not None and store.storage.swap(key, damage, cell.tag)
        with pytest.raises(UserError, match=r"serving\.json is damaged .*promote <number>"):
            store.pointed("serving")
        with pytest.raises(UserError, match="is damaged"):
            store.replace(1, store.version(2))
        assert store.point("serving", store.version(2)) is None
        assert store.number("serving") == 2


def test_a_version_that_is_read_for_long_is_held_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pointers, "HEARTBEAT_S", 0.01)
    store = ModelStore(tmp_path, "flights")
    version = store.add(lambda folder, number: (folder / "weights.h5").write_bytes(b"w"))
    with store.holding(version):
        (hold,) = (tmp_path / "models/flights/pointers/holds").glob("*.json")
        os.utime(hold, (0, 0))
        end_s = time.monotonic() + 30
        while hold.stat().st_mtime == 0 and time.monotonic() < end_s:
            time.sleep(0.01)
        assert store.named() == {1: "about to be pointed to"}
        assert not store.remove(1, store.named)
    assert store.named() == {}
