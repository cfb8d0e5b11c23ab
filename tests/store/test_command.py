import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components import artifacts
from components.store import ModelStore
from components.store.__main__ import main

METRICS = {
    "metric": "auc",
    "chosen": "int8",
    "reason": "int8 (222 KiB) is the smallest of 2 variants that pass",
    "variants": [{"recipe": "float32", "metrics": {"auc": 0.7122}}, {"recipe": "int8", "metrics": {"auc": 0.71289}}],
}


def _fill(folder: Path, number: int) -> None:
    lineage = {
        "version": number,
        "created": f"2026-11-2{number}T16:45:55+00:00",
        "recipe": "int8",
        "parent": None,
        "snapshot": "52c80367133286f8ec3beee3ce230205",
        "partitions": ["a", "b"],
        "trained_until": 1384905600,
        "run": "20261122T164309Z-flights-2da3",
    }
    artifacts.write_json(folder / artifacts.LINEAGE, lineage)
    artifacts.write_json(folder / artifacts.METRICS, METRICS)
    (folder / "weights.h5").write_bytes(b"w" * 1000)


@pytest.fixture
def store(work: Path | str) -> ModelStore:
    store = ModelStore(work, "flights")
    for _ in range(3):
        store.add(_fill)
    store.point("serving", store.version(1))
    store.point("serving", store.version(2))
    store.point("candidate", store.version(3))
    return store


def _run(work: Path | str, *arguments: str) -> int:
    return main(["--work", str(work), "--model", "flights", *arguments])


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_shows_all_versions(store: ModelStore, work: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
    store.pin(1, "the [audit] of 2026")
    assert _run(work, "list") == 0
    shown = capsys.readouterr().out
    for words in ("2026-11-22 16:45", "int8", "auc 0.7129", "previous, pinned:", "the [audit]", "serving", "candidate"):
        assert words in shown, shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert _run(work, "list", "--json") == 0
    listed = _json(capsys)
    assert [version["number"] for version in listed] == [1, 2, 3]
    assert listed[0]["pointers"] == ["previous"] and listed[0]["pin"] == "the [audit] of 2026"
    assert listed[1]["value"] == 0.71289 and not listed[1]["withdrawn"]
    assert listed[1]["bytes"] > 1000


def test_show_tells_all_of_one(store: ModelStore, work: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(work, "show", "2") == 0
    shown = capsys.readouterr().out
    for words in ("flights version 2", "52c80367", "smallest of 2 variants", "2013-11-20 00:00", "20261122T164309Z"):
        assert words in shown, shown
    assert _run(work, "show", "2", "--json") == 0
    described = _json(capsys)
    assert described["lineage"]["version"] == 2 and described["metrics"]["chosen"] == "int8"
    assert described["address"].endswith("models/flights/versions/2")


def test_verify_names_what_is_damaged(store: ModelStore, work: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(work, "verify") == 0
    assert capsys.readouterr().out.count("is whole") == 3
    store.storage.write("models/flights/versions/2/weights.h5", b"v" * 1000)
    assert _run(work, "verify") == 1
    assert "version 2 is damaged" in capsys.readouterr().out
    assert _run(work, "verify", "1", "3") == 0


def test_promote_rollback_pin_unpin(store: ModelStore, work: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(work, "promote") == 0
    assert "flights version 3 is in service in place of version 2" in capsys.readouterr().out
    assert _run(work, "rollback") == 0
    assert "flights version 2 is in service again, version 3 is withdrawn" in capsys.readouterr().out
    assert store.withdrawn() == (3,)
    assert _run(work, "rollback") == 0
    assert "flights version 3 is in service again in place of version 2" in capsys.readouterr().out
    assert store.withdrawn() == ()
    assert _run(work, "rollback") == 0
    assert _run(work, "list") == 0
    assert "withdrawn" in capsys.readouterr().out
    assert _run(work, "promote", "1") == 0
    assert store.number("serving") == 1
    assert _run(work, "pin", "3", "--reason", "audit") == 0
    assert store.pins() == {3: "audit"}
    assert _run(work, "unpin", "3") == 0
    assert store.pins() == {}
    assert _run(work, "unpin", "3") == 0
    assert "was not pinned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "7"], "version 7 is not in .*flights; the versions there are: 1, 2, 3"),
        (["promote", "7"], "version 7 is not in"),
        (["pin", "7", "--reason", "x"], "version 7 is not in"),
        (["unpin", "7"], "version 7 is not in"),
        (["verify", "7"], "version 7 is not in"),
        (["show", "abc"], "'abc' is no version's number; give one that `list` shows"),
        (["unpin", "01"], "'01' is no version's number"),
        (["pin", "1", "--reason", ""], "version 1 is not pinned without a reason; say why"),
    ],
)
def test_a_version_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    store = ModelStore(tmp_path, "flights")
    for _ in range(3):
        store.add(_fill)
    assert _run(tmp_path, *arguments) == 1
    _said(capsys, words)


def test_errors_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, "list") == 1
    _said(capsys, "no model flights is in .*; models there: none; give the work directory by --work")
    store = ModelStore(tmp_path, "flights")
    store.add(_fill)
    for command, words in (("rollback", "nothing to roll back to"), ("promote", "flights has no candidate")):
        assert _run(tmp_path, command) == 1
        _said(capsys, words)
    store.point("serving", store.version(1))
    (tmp_path / "models" / "flights" / "pointers" / "serving.json").write_text("{")
    for command in ("list", "rollback"):
        assert _run(tmp_path, command) == 1
        _said(capsys, r"serving\.json is damaged .*promote <number>")
    assert _run(tmp_path, "promote", "1") == 0, "the remedy helps"
    capsys.readouterr()
    assert _run(tmp_path, "list") == 0
    assert main(["--work", "gs://bucket", "--model", "m", "list"]) == 1


def test_a_version_with_damaged_files_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ModelStore(tmp_path, "flights")
    for _ in range(2):
        store.add(_fill)
    (store.version(1).path / artifacts.LINEAGE).write_text("{")
    (store.version(1).path / artifacts.METRICS).unlink()
    assert _run(tmp_path, "list", "--json") == 0
    assert [version["recipe"] for version in _json(capsys)] == [None, "int8"]


@pytest.mark.parametrize(
    ("lineage", "metrics"),
    [
        ({"created": 5, "recipe": 3, "partitions": None, "trained_until": 1e20}, {"variants": [1], "metric": ["auc"]}),
        (
            {"partitions": 5, "trained_until": "x"},
            {"chosen": "int8", "metric": "auc", "variants": [{"recipe": "int8"}]},
        ),
        ({"trained_until": {}}, {"chosen": "a", "metric": [], "variants": [{"recipe": "a", "metrics": {"[]": "x"}}]}),
        ({}, {"variants": 7}),
    ],
)
def test_a_version_with_strange_files_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lineage: dict[str, Any], metrics: dict[str, Any]
) -> None:
    store = ModelStore(tmp_path, "flights")
    for _ in range(2):
        store.add(_fill)
    artifacts.write_json(store.version(1).path / artifacts.LINEAGE, lineage)
    artifacts.write_json(store.version(1).path / artifacts.METRICS, metrics)
    assert _run(tmp_path, "show", "1") == 0
    assert _run(tmp_path, "list") == 0
    assert "auc 0.7129" in capsys.readouterr().out
    assert _run(tmp_path, "list", "--json") == 0
    assert [version["value"] for version in _json(capsys)] == [None, 0.71289]


def test_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.store", "--work", str(tmp_path), "--model", "flights", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr and ended.stderr.startswith("error: no model flights")


def _said(capsys: pytest.CaptureFixture[str], words: str) -> None:
    import re

    said = capsys.readouterr().err.strip()
    assert re.search(words, said), said
    assert "\n" not in said
