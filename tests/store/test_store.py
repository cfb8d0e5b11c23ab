import multiprocessing
import shutil
from pathlib import Path

import pytest

from components import artifacts
from components.errors import UserError
from components.store import ModelStore, Version, verify


def _fill(folder: Path, number: int) -> None:
    artifacts.write_json(folder / artifacts.LINEAGE, {"version": number, "snapshot": "s"})
    (folder / "weights.h5").write_bytes(b"weights" * 1000)


def _add_many(work: Path, count: int) -> list[int]:
    return [ModelStore(work, "m").add(_fill).number for _ in range(count)]


def test_an_empty_store_has_no_versions_and_no_pointers(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    assert store.versions() == []
    assert store.pointed("serving") is None


def test_versions_are_numbered_and_complete(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    first, second = store.add(_fill), store.add(_fill)
    assert [version.number for version in store.versions()] == [1, 2]
    assert first.lineage["version"] == 1 and second.lineage["version"] == 2
    verify(second)


def test_writers_in_many_processes_never_take_the_same_number(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        numbers = pool.starmap(_add_many, [(tmp_path, 10)] * 4)
    taken = sorted(number for each in numbers for number in each)
    assert taken == list(range(1, 41))
    for version in ModelStore(tmp_path, "m").versions():
        assert version.lineage["version"] == version.number
        verify(version)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path, number: int) -> None:
        _fill(folder, number)
        raise OSError("disk full")

    store = ModelStore(tmp_path, "m")
    with pytest.raises(OSError, match="disk full"):
        store.add(fail)
    assert list((tmp_path / "models" / "m" / "versions").iterdir()) == []


def test_moving_serving_remembers_the_previous_version(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    first, second = store.add(_fill), store.add(_fill)
    assert store.point("serving", first) is None
    assert store.point("serving", second) == first
    assert store.pointed("serving") == second
    assert store.pointed("previous") == first
    store.point("serving", second)
    assert store.pointed("previous") == first, "pointing to the same version again is no change"


def test_a_damaged_version_is_not_put_into_service(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    good, bad = store.add(_fill), store.add(_fill)
    store.point("serving", good)
    weights = bytearray((bad.path / "weights.h5").read_bytes())
    weights[17] ^= 1
    (bad.path / "weights.h5").write_bytes(weights)
    with pytest.raises(UserError, match=r"weights\.h5 is changed"):
        store.point("serving", bad)
    (bad.path / "weights.h5").unlink()
    with pytest.raises(UserError, match=r"weights\.h5 is missing"):
        store.point("serving", bad)
    assert store.pointed("serving") == good


def test_a_damaged_pointer_is_named(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    store.point("serving", store.add(_fill))
    (tmp_path / "models" / "m" / "pointers" / "serving.json").write_text("{")
    with pytest.raises(UserError, match=r"serving\.json is damaged"):
        store.pointed("serving")


def test_a_pointer_to_nothing_can_be_moved(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    first, second = store.add(_fill), store.add(_fill)
    store.point("serving", second)
    shutil.rmtree(second.path)
    assert store.point("serving", first) is None
    assert store.pointed("serving") == first


def test_a_version_without_checksums_is_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    version = store.add(_fill)
    (version.path / "checksums.json").unlink()
    with pytest.raises(UserError, match=r"checksums\.json is missing"):
        store.point("serving", version)


def test_only_one_of_two_that_were_compared_with_the_same_version_goes_into_service(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    first, second, third = (store.add(_fill) for _ in range(3))
    assert store.replace(None, first) is None
    assert store.replace(1, second) == first
    with pytest.raises(UserError, match="version 2 went into service while this run compared its model with version 1"):
        store.replace(1, third)
    assert store.replace(1, second) == second, "a repeated deployment of the same version is no conflict"
    assert store.pointed("serving") == second


def test_moving_back_withdraws_and_moving_forth_forgives(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    first, second = store.add(_fill), store.add(_fill)
    store.point("serving", first)
    store.point("serving", second)
    assert store.withdrawn() == ()
    store.point("serving", first)
    assert store.withdrawn() == (2,)
    with pytest.raises(UserError, match="version 2 was withdrawn"):
        store.replace(1, second)
    store.point("serving", second)
    assert store.withdrawn() == ()


def test_an_unknown_version_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    store.add(_fill)
    with pytest.raises(UserError, match=r"version 7 is not in .*; the versions there are: 1"):
        store.version(7)


def test_unfinished_folders_are_no_versions(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    (tmp_path / "models" / "m" / "versions" / ".1.abc.tmp").mkdir(parents=True)
    (tmp_path / "models" / "m" / "versions" / "7").write_text("a file is no version")
    assert store.versions() == []
    assert store.add(_fill) == Version(1, tmp_path / "models" / "m" / "versions" / "1")
