import shutil
from pathlib import Path

import pytest

from components import artifacts
from components.cleanup.config import Retention
from components.errors import UserError
from components.resolve.config import Resolve, ResolveConfig
from components.resolve.resolve import resolve
from components.store import ModelStore, Version

DAY_S = 86_400


def _config(start: str = "warm", days: int = 30) -> ResolveConfig:
    return ResolveConfig(name="m", resolve=Resolve(start=start), retention=Retention(days=days))


def _version(work: Path, snapshot: str, base: int | None = None) -> Version:
    lineage = {"snapshot": snapshot, "trained_until": 1000, "base": base}
    return ModelStore(work, "m").add(lambda folder, _: artifacts.write_json(folder / artifacts.LINEAGE, lineage))


def _base(work: Path, snapshot: str, start: str = "warm") -> str:
    return Path(resolve(_config(start), work, work / snapshot).base).name


def test_without_a_model_both_folders_are_the_same_empty_one(tmp_path: Path) -> None:
    found = resolve(_config(), tmp_path, tmp_path / "s1")
    assert found.base == found.serving
    assert list(Path(found.base).iterdir()) == []
    assert resolve(_config(), tmp_path, tmp_path / "s2").base == found.base


def test_the_base_is_the_version_in_service(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    store.point("serving", _version(tmp_path, "s1"))
    assert _base(tmp_path, "s2") == "1"
    store.point("serving", _version(tmp_path, "s2", base=1))
    assert _base(tmp_path, "s3") == "2"


def test_a_repeated_run_has_the_base_that_the_first_had(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    store.point("serving", _version(tmp_path, "s1"))
    assert _base(tmp_path, "s1") == "empty"
    store.point("serving", _version(tmp_path, "s2", base=1))
    assert _base(tmp_path, "s2") == "1"


def test_a_base_that_is_gone_does_not_stop_the_run(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    gone = _version(tmp_path, "s1")
    store.point("serving", _version(tmp_path, "s2", base=1))
    shutil.rmtree(gone.path)
    assert _base(tmp_path, "s2") == "2"


def test_a_version_that_was_rolled_back_is_never_a_base(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, "m")
    good, bad = _version(tmp_path, "s1"), _version(tmp_path, "s2", base=1)
    store.point("serving", bad)
    store.point("serving", good)
    assert _base(tmp_path, "s3") == "1"
    assert Path(resolve(_config(), tmp_path, tmp_path / "s3").serving).name == "1"
    store.point("serving", _version(tmp_path, "s3", base=1))
    assert _base(tmp_path, "s3") == "1", "the rerun has the base of the first run, and not version 2"


def test_a_store_that_was_filled_anew_gives_another_digest(tmp_path: Path) -> None:
    def digest() -> str:
        return resolve(_config(), tmp_path, tmp_path / "s2").base_digest

    assert digest() == ""
    store = ModelStore(tmp_path, "m")
    store.point("serving", _version(tmp_path, "s1"))
    before = digest()
    shutil.rmtree(tmp_path / "models")
    store.point("serving", _version(tmp_path, "s0"))
    assert before and digest() not in ("", before)


def test_a_damaged_base_is_refused(tmp_path: Path) -> None:
    def fill(folder: Path, number: int) -> None:
        artifacts.write_json(folder / artifacts.LINEAGE, {"snapshot": "s1", "trained_until": 1000, "base": None})
        (folder / artifacts.WEIGHTS).write_bytes(b"weights")

    store = ModelStore(tmp_path, "m")
    version = store.add(fill)
    store.point("serving", version)
    assert _base(tmp_path, "s2") == "1"
    (version.path / artifacts.WEIGHTS).write_bytes(b"weightz")
    with pytest.raises(UserError, match=r"versions/1/weights\.h5 is changed"):
        _base(tmp_path, "s2")
    assert _base(tmp_path, "s2", start="cold") == "empty", "training does not read it"


def test_a_cold_start_has_no_base_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ModelStore(tmp_path, "m").point("serving", _version(tmp_path, "s1"))
    assert _base(tmp_path, "s2", start="cold") == "empty"
    assert "cold start, although version 1 is in service: resolve.start is cold" in caplog.text


def test_the_generation_changes_after_the_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def generation(now_s: float) -> str:
        monkeypatch.setattr("time.time", lambda: now_s)
        return resolve(_config(days=7), tmp_path, tmp_path / "s1").generation

    assert generation(70 * DAY_S) == generation(77 * DAY_S - 1)
    assert generation(70 * DAY_S) != generation(77 * DAY_S)
