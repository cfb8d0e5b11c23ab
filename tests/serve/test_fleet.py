"""What is loaded, what is left out, and that a mishap neither ends following nor takes other models down."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from components.features.transform import Transform
from components.serve.__main__ import main
from components.serve.example import example
from components.serve.fleet import Fleet
from components.serve.limits import Limits
from components.serve.served_model import Source
from components.storage.folder import FolderStorage
from components.store import Version
from tests.serve.small import DATA, FEATURES, LEARNED, deploy

JOIN_S = 1e-6


@pytest.fixture
def run(caplog) -> Callable[..., Any]:
    """Runs a coroutine with what the fleet says recorded, and leaves the collector as it was."""
    caplog.set_level(logging.INFO, "evergreen.serve")
    threshold = gc.get_threshold()
    yield asyncio.run
    gc.set_threshold(*threshold)
    gc.unfreeze()


def _fleet(work: Path | None, *names: str, **folders: Path) -> Fleet:
    return Fleet(work, names, [Source(name, path) for name, path in folders.items()], None, Limits())


async def _following(fleet: Fleet, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await fleet.load(JOIN_S)
    following = asyncio.ensure_future(fleet.follow(0.02))
    try:
        await scenario()
        assert not following.done()
    finally:
        following.cancel()
        fleet.close()


async def _until(condition: Callable[[], Any]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 10 s")


def _break(version: Version) -> None:
    (version.path / "serving" / "serving.json").write_text("{")


def test_following_outlives_a_disk_that_fails(run, low, tmp_path, monkeypatch, caplog) -> None:
    deploy(tmp_path, "small", low)
    fleet, looks = _fleet(tmp_path), []
    whole = FolderStorage.names

    def failing(storage: FolderStorage, prefix: str = "") -> Any:
        looks.append(prefix)
        if 1 < len(looks) < 5:
            raise OSError(5, "Input/output error")
        return whole(storage, prefix)

    async def scenario() -> None:
        await _until(lambda: len(looks) > 6)
        deploy(tmp_path, "small", low)
        await _until(lambda: fleet.slots["small"].model.version == 2)

    monkeypatch.setattr(FolderStorage, "names", failing)
    run(_following(fleet, scenario))
    assert caplog.text.count("Input/output error") == 1, "said once while it stays the same"


def test_named_models_need_no_search(run, low, tmp_path, monkeypatch) -> None:
    deploy(tmp_path, "small", low)
    fleet = _fleet(tmp_path, "small")

    async def scenario() -> None:
        deploy(tmp_path, "small", low)
        await _until(lambda: fleet.slots["small"].model.version == 2)

    def searched(storage: FolderStorage, prefix: str = "") -> list[str]:
        assert prefix != "models", "the work directory was searched"
        return names(storage, prefix)

    names = FolderStorage.names
    monkeypatch.setattr(FolderStorage, "names", searched)
    run(_following(fleet, scenario))


def test_a_folder_keeps_its_name(run, low, high, tmp_path, caplog) -> None:
    fleet = _fleet(tmp_path, small=low.folder)

    async def scenario() -> None:
        deploy(tmp_path, "small", high)
        deploy(tmp_path, "other", high)
        await _until(lambda: "other" in fleet.slots)
        await asyncio.sleep(0.2)
        assert fleet.slots["small"].model.version is None

    run(_following(fleet, scenario))
    assert caplog.text.count("is not served, because a folder has its name") == 1


def test_a_folder_and_a_named_model_of_one_name_are_refused(run, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    with pytest.raises(UserError, match="two models are named small"):
        run(_fleet(tmp_path, "small", small=low.folder).load(JOIN_S))


def test_one_damaged_version_at_start_leaves_the_others(run, low, tmp_path, monkeypatch, caplog) -> None:
    deploy(tmp_path, "good", low)
    _break(deploy(tmp_path, "bad", low))
    monkeypatch.setattr("components.serve.fleet.RETRY_S", (0.05, 0.1))
    fleet = _fleet(tmp_path)

    async def scenario() -> None:
        assert list(fleet.slots) == ["good"]
        await _until(lambda: caplog.text.count("bad is not served, because") > 1)
        deploy(tmp_path, "bad", low)
        await _until(lambda: "bad" in fleet.slots)

    run(_following(fleet, scenario))


def test_what_was_named_must_load(run, low, tmp_path) -> None:
    deploy(tmp_path, "good", low)
    bad = deploy(tmp_path, "bad", low)
    _break(bad)
    with pytest.raises(UserError, match=r"serving\.json is changed"):
        run(_fleet(tmp_path, "good", "bad").load(JOIN_S))
    with pytest.raises(UserError, match=r"serving\.json is changed"):
        run(_fleet(tmp_path, mounted=bad.path).load(JOIN_S))


def test_none_that_loads_is_refused(run, low, tmp_path) -> None:
    for name in ("one", "two"):
        _break(deploy(tmp_path, name, low))
    with pytest.raises(UserError, match=r"/one/.* is changed .*/two/.* is changed"):
        run(_fleet(tmp_path).load(JOIN_S))


def test_a_replaced_version_goes(run, low, high, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    fleet = _fleet(tmp_path)

    async def scenario() -> None:
        replaced = weakref.ref(fleet.slots["small"].model)
        deploy(tmp_path, "small", high)
        await _until(lambda: fleet.slots["small"].model.version == 2)
        await asyncio.sleep(0.1)
        assert replaced() is None

    run(_following(fleet, scenario))


def test_what_was_imported_is_not_looked_at_again(run, low, tmp_path) -> None:
    deploy(tmp_path, "small", low)
    before = len(gc.get_objects())
    fleet = _fleet(tmp_path)
    run(fleet.load(JOIN_S))
    fleet.close()
    assert len(gc.get_objects()) < before / 2


DAMAGED = {
    "checksums": ("checksums.json", "{", "checksums.json is damaged"),
    "checksums that are a list": ("checksums.json", "[]", "checksums.json is damaged"),
    "a date": ("model.yaml", "serve: {log_share: 2020-01-01}", 'log_share is "2020-01-01"; it must be a number'),
    "a date as a key": ("model.yaml", "serve: {2020-01-01: 1}", "model.yaml is damaged"),
    "too much": ("model.yaml", "serve: {log_share: 2}", "model.yaml, section serve: log_share is 2; it must"),
    "false": ("model.yaml", "serve: false", "model.yaml, section serve: the configuration is false; it must be a map"),
    "zero": ("model.yaml", "serve: 0", "model.yaml, section serve: the configuration is 0; it must be a mapping"),
    "text": ("model.yaml", "serve: ''", 'model.yaml, section serve: the configuration is ""; it must be a mapping'),
    "no mapping": ("model.yaml", "false", "model.yaml is damaged"),
    "a lineage that is none": ("lineage.json", "[1]", "lineage.json is damaged"),
    "a version in text": ("lineage.json", '{"version": "1\\r\\nEvil: 1"}', "version is '1\\r\\nEvil: 1'; it"),
    "a version that is true": ("lineage.json", '{"version": true}', "version is True; it must be a whole number"),
    "a year in text": ("lineage.json", '{"trained_until": "2020"}', "lineage.json: trained_until is '2020'; it must"),
    "no year": ("lineage.json", '{"trained_until": -99999999999}', "trained_until is -99999999999, which is no date"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_folder_is_one_sentence(run, low, tmp_path, name) -> None:
    file, content, sentence = DAMAGED[name]
    (tmp_path / "serving").symlink_to(low.folder)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError) as raised:
        run(_fleet(None, small=tmp_path).load(JOIN_S))
    assert sentence in str(raised.value) and str(tmp_path / file) in str(raised.value)


@pytest.mark.parametrize("content", ["", "name: small", "serve:", "serve: null", "serve: {}"])
def test_a_section_that_is_missing_is_the_default(run, low, tmp_path, content) -> None:
    (tmp_path / "serving").symlink_to(low.folder)
    (tmp_path / "model.yaml").write_text(content)
    fleet = _fleet(None, small=tmp_path)
    run(fleet.load(JOIN_S))
    assert fleet.slots["small"].model.settings.cache_entries == 10_000
    fleet.close()


def test_an_unforeseen_error_is_a_sentence_too(run, low, monkeypatch) -> None:
    monkeypatch.setattr("components.serve.fleet.ServedModel", lambda *_: 1 / 0)
    with pytest.raises(UserError, match=r"small cannot be loaded \(ZeroDivisionError"):
        run(_fleet(None, small=low.folder).load(JOIN_S))


@pytest.mark.parametrize(("time_s", "noon"), [(-62_135_596_800, "0001-01-01"), (253_402_300_799, "9999-12-31")])
def test_the_example_of_an_early_or_late_year(time_s, noon) -> None:
    assert example(Transform(DATA, FEATURES, LEARNED), time_s)["when"] == f"{noon}T12:00:00"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x", ""])
@pytest.mark.parametrize("flag", ["--poll-s", "--timeout-s", "--receive-timeout-s", "--max-queue", "--max-body-bytes"])
def test_flags_must_be_above_zero(capsys, flag, value) -> None:
    with pytest.raises(SystemExit):
        main(["--folder", "small=/nowhere", f"{flag}={value}"])
    assert f"argument {flag}: {value} is no" in capsys.readouterr().err
