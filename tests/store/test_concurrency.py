"""Many writers at once, and deleting against pointing."""

import os
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from components.storage import process
from components.storage.bucket import BucketStorage
from components.store import ModelStore, marks, verify
from tests.store.faults import deploy_at_once, fill, run


def _check(store: ModelStore, deployed: list[tuple[int, int | None]]) -> None:
    numbers = sorted(number for number, _ in deployed)
    assert [version.number for version in store.versions()] == numbers
    assert len(set(numbers)) == len(deployed)
    for version in store.versions():
        verify(version)
        assert version.lineage["version"] == version.number
    replaced = {before: number for number, before in deployed}
    assert len(replaced) == len(deployed), "two writers replaced the same version: a change got lost"
    chain = [replaced[None]]
    while chain[-1] in replaced:
        chain.append(replaced[chain[-1]])
    assert len(chain) == len(deployed)
    assert store.number("serving") == chain[-1]
    assert store.number("previous") == chain[-2]


def test_eight_processes_deploy_at_once(store: ModelStore, work: Path | str) -> None:
    _check(store, deploy_at_once(work, 8))


def test_what_is_pointed_to_while_it_is_about_to_go_stays_or_is_refused(store: ModelStore) -> None:
    store.point("serving", store.add(fill))
    second = store.add(fill)

    def wanted_too_late() -> dict[int, str]:
        named = store.named()
        with pytest.raises(UserError, match="version 2 of m is being deleted"):
            ModelStore.point(store, "serving", second)
        with pytest.raises(UserError, match="version 2 of m is being deleted"):
            store.pin(2, "audit")
        return named

    assert store.remove(2, wanted_too_late)
    assert store.find(2) is None
    assert store.number("serving") == 1 and store.pins() == {}


def test_what_somebody_is_about_to_point_to_stays(store: ModelStore) -> None:
    store.point("serving", store.add(fill))
    second = store.add(fill)
    with store._pointers.held(2):
        assert store.named() == {1: "serving", 2: "about to be pointed to"}
        assert not store.remove(2, store.named)
    verify(second)
    assert store.doomed() == []
    store.point("serving", second)


def test_only_one_cleanup_deletes_a_version(store: ModelStore) -> None:
    store.add(fill)

    def meanwhile() -> dict[int, str]:
        assert not store.remove(1, store.named)
        return store.named()

    assert store.remove(1, meanwhile)
    assert store.remove(1, store.named), "what is gone is gone"


def test_a_mark_of_the_dead_does_not_keep_a_version_out_of_service(store: ModelStore, work: Path | str) -> None:
    version = store.add(fill)
    assert store._marks.take(1)
    with pytest.raises(UserError, match="being deleted"):
        store.point("serving", version)
    store._marks.release(1)
    assert run(work, "mark", nth=1000) == 0, "it marked the version, and died"
    assert store.doomed() == [1]
    store.point("serving", version)
    assert store.doomed() == []


def test_a_mark_of_another_machine_holds_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore(tmp_path, "m")
    version = store.add(fill)
    with monkeypatch.context() as patch:
        patch.setattr(process, "_machine", lambda: "elsewhere")
        assert store._marks.take(1)
    assert not store.remove(1, store.named)
    now_s = marks.time.time()
    monkeypatch.setattr(marks.time, "time", lambda: now_s + marks.MARK_S + 1)
    store.point("serving", version)


def test_a_mark_of_the_future_does_not_hold_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore(tmp_path, "m")
    now_s = marks.time.time()
    with monkeypatch.context() as patch:
        patch.setattr(process, "_machine", lambda: "elsewhere")
        patch.setattr(marks.time, "time", lambda: now_s + 10 * marks.MARK_S)
        assert store._marks.take(1)
    assert store._marks.is_free(1)


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"[]", b'{"time_s": "x", "pid": 1e400}'])
def test_a_damaged_mark_counts_as_one_of_the_dead(store: ModelStore, damage: bytes) -> None:
    version = store.add(fill)
    assert store.storage.swap("models/m/pointers/doomed/1.json", damage, None)
    assert store.doomed() == [1]
    store.point("serving", version)
    assert store.doomed() == []


def test_who_lost_its_mark_neither_deletes_nor_takes_the_others_away(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is wrong, or it stood still for too long."""
    store.add(fill)
    other = ModelStore(store.storage.url, "m")

    def meanwhile() -> list[int]:
        with monkeypatch.context() as patch:
            patch.setattr(marks, "_is_alive", lambda owner: False)
            assert other._marks.take(1)
        return []

    assert not store.remove(1, meanwhile)
    assert store.find(1) is not None
    assert other._marks.is_held(1)
    assert other.remove(1, list) is False, "its own mark is alive"
    other._marks.release(1)
    assert store.doomed() == []


@pytest.mark.parametrize("pointer", ["serving", "candidate", "pin"])
def test_a_pointer_to_what_was_deleted_while_it_moved_goes_back(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, pointer: str
) -> None:
    """By a cleanup that did not see the hold."""
    for _ in range(2):
        store.point("serving", store.add(fill))
    before = _service(store)
    version = store.add(fill)
    swap = type(store.storage).swap

    def swap_late(self: Any, key: str, *rest: Any) -> bool:
        if key.rpartition("/")[2] in ("serving.json", "candidate.json", "pins.json") and store.find(3):
            assert ModelStore(store.storage.url, "m").remove(3, list)
        return swap(self, key, *rest)

    monkeypatch.setattr(type(store.storage), "swap", swap_late)
    with pytest.raises(UserError, match="version 3 of m is being deleted"):
        store.pin(3, "audit") if pointer == "pin" else store.point(pointer, version)
    assert _service(store) == before
    assert store.named() == {1: "previous", 2: "serving"}


def _service(store: ModelStore) -> tuple[Any, ...]:
    names = ("serving", "previous", "candidate")
    return (*(store.number(name) for name in names), store.withdrawn(), store.pins())


def test_a_hold_counts_however_old_its_clock_says_it_is(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    store.add(fill)
    with store._pointers.held(1):
        (hold,) = (tmp_path / "models" / "m" / "pointers" / "holds").iterdir()
        os.utime(hold, (0, 0))
        assert not store.remove(1, store.named)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"version": 1e400}'])
def test_a_damaged_hold_is_named(store: ModelStore, damage: bytes) -> None:
    store.add(fill)
    store.storage.write("models/m/pointers/holds/x.json", damage)
    with pytest.raises(UserError, match=r"holds/x\.json is damaged .*; delete it"):
        store.remove(1, store.named)
    assert store.find(1) is not None


def test_damaged_pointers_keep_everything(store: ModelStore) -> None:
    store.point("serving", store.add(fill))
    store.add(fill)
    cell = store.storage.cell("models/m/pointers/serving.json")
    assert cell is not None and store.storage.swap("models/m/pointers/serving.json", b"{", cell.tag)
    with pytest.raises(UserError, match=r"serving.* is damaged"):
        store.remove(2, store.named)
    assert [version.number for version in store.versions()] == [1, 2]
    assert store.doomed() == []


def test_what_was_claimed_and_never_finished_can_go(s3_root: str) -> None:
    store = ModelStore(s3_root, "m")
    store.storage.create("models/m/versions/1/claim.json", b"{}")
    store.storage.write("models/m/versions/1/weights.h5", b"half")
    assert store.numbers() == [1] and store.versions() == []
    assert store.add(fill).number == 2
    assert store.remove(1, store.named)
    assert store.numbers() == [2]


def test_a_version_that_was_cleaned_up_while_it_was_uploaded_never_appears(s3_root: str) -> None:
    store = ModelStore(s3_root, "m")

    def slow(folder: Path, number: int) -> None:
        fill(folder, number)
        assert store.remove(number, store.named)
        assert ModelStore(s3_root, "m").add(fill).number == number

    with pytest.raises(UserError, match="version 1 took longer than a day to upload"):
        store.add(slow)
    assert [version.number for version in store.versions()] == [1]


def test_the_mark_that_a_killed_cleanup_left_does_not_meet_the_next_upload(s3_root: str) -> None:
    store = ModelStore(s3_root, "m")
    assert store.storage.create("models/m/pointers/doomed/1.json", b"{}")

    def look(folder: Path, number: int) -> None:
        assert store.doomed() == []
        fill(folder, number)

    assert store.add(look).number == 1


def test_a_number_whose_deletion_is_under_way_is_not_taken(s3_root: str) -> None:
    assert ModelStore(s3_root, "m")._marks.take(1)
    assert ModelStore(s3_root, "m").add(fill).number == 2


def test_an_upload_that_lost_its_claim_at_the_very_end_never_appears(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(s3_root, "m")
    write = BucketStorage.write

    def late(self: BucketStorage, key: str, content: bytes) -> None:
        if key.endswith("/checksums.json"):
            self.remove("models/m/versions/1")
        write(self, key, content)

    monkeypatch.setattr(BucketStorage, "write", late)
    with pytest.raises(UserError, match="version 1 took longer than a day to upload"):
        store.add(fill)
    assert store.numbers() == []
