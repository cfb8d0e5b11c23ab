import pytest

from components.artifacts import write_bytes, write_json
from components.cleanup.__main__ import main, money
from components.cleanup.config import Retention
from components.cleanup.retention import of_file, of_version
from components.errors import UserError
from components.store import ModelStore
from components.store.version import checksums


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def old(work):
    folder = work.outputs(86_400.0 * 365 * 20)
    work.file(f"{folder}/train/model/large", 86_400.0 * 365 * 20, b"x" * 10_000_000)
    return work.path / folder


def test_a_dry_run_shows_what_would_go_and_deletes_nothing(work, old, capsys):
    assert main(["--work", str(work.path), "--model", "flights", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"pipeline/{old.name}" in shown
    assert "10.0 MB" in shown and "outputs last written on 1989-12-27" in shown
    assert "1 in all" in shown and "0.00023 a month saved, at 0.023 for a GB" in shown
    assert "Nothing was deleted" in shown
    assert old.exists() and not (work.path / "cleanup").exists()


def test_without_dry_run_it_deletes_and_shows_what_went(work, old, capsys):
    work.version()
    assert main(["--work", str(work.path), "--model", "flights"]) == 0
    shown = capsys.readouterr().out
    assert "What went of flights" in shown and f"pipeline/{old.name}" in shown
    assert not old.exists()
    assert main(["--work", str(work.path), "--model", "flights"]) == 0
    assert capsys.readouterr().out == "What went of flights: nothing.\n"


def test_all_models_of_the_work_directory(work, old, capsys):
    work.version(model="wine")
    work.version(model="flights")
    assert main(["--work", str(work.path), "--all"]) == 0
    shown = capsys.readouterr().out
    assert "What went of flights" in shown and "What went of wine: nothing." in shown
    assert "All models together: 10.0 MB, 0.00023 a month." in shown
    assert not old.exists()


def test_a_model_that_is_damaged_does_not_hold_up_the_others(work, old, capsys):
    work.store.point("serving", work.version())
    version = work.version(model="wine")
    ModelStore(work.path, "wine").point("serving", version)
    (work.path / "models/wine/pointers/serving.json").write_text("{")
    assert main(["--work", str(work.path), "--all"]) == 1
    shown = capsys.readouterr()
    assert "wine/pointers/serving.json is damaged" in shown.err
    assert not old.exists()


def test_what_cannot_go_is_told_with_exit_code_1(work, old, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr("components.cleanup.cleanup.remove", refuse)
    assert main(["--work", str(work.path), "--model", "flights"]) == 1
    assert f"pipeline/{old.name} could not be deleted: Operation not permitted" in capsys.readouterr().out


def test_why_something_stays_is_told(work, capsys):
    work.version()
    (work.path / "models/flights/pointers").mkdir(parents=True, exist_ok=True)
    (work.path / "models/flights/pointers/candidate.json").write_text("{")
    assert main(["--work", str(work.path), "--model", "flights", "--dry-run"]) == 0
    assert "candidate.json is damaged" in capsys.readouterr().out


def test_retention_is_that_of_the_version_in_service(work, old, capsys):
    version = work.version()
    write_bytes(version.path / "model.yaml", b"name: flights\nretention: {days: 3650, runs: 7}\n")
    assert of_version(work.path, "flights") == Retention(), "nothing is in service yet"
    write_json(version.path / "checksums.json", checksums(version.path))
    work.store.point("serving", version)
    assert of_version(work.path, "flights") == Retention(days=3650, runs=7)


def test_a_given_config_counts_instead(work, old, tmp_path):
    folder = tmp_path / "flights"
    write_bytes(folder / "model.yaml", b"retention: {days: 3650}\n")
    assert of_file(folder) == of_file(folder / "model.yaml") == Retention(days=3650)
    command = ["--work", str(work.path), "--model", "flights", "--config", str(folder)]
    write_bytes(folder / "model.yaml", b"name: flights\n")
    assert main(command) == 0
    assert not old.exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"retention: {days: 0}", "retention: days"),
        (b"retention: {weeks: 1}", "weeks"),
        (b"retention: 7", "must be a mapping"),
        (b"a: [", "not valid YAML"),
    ],
)
def test_a_wrong_config_is_refused_by_file_and_key(tmp_path, text, named):
    write_bytes(tmp_path / "model.yaml", text)
    with pytest.raises(UserError, match=named) as refused:
        of_file(tmp_path)
    assert "model.yaml" in str(refused.value)


def test_a_version_whose_config_is_damaged_is_named(work):
    version = work.version()
    work.store.point("serving", version)
    write_bytes(version.path / "model.yaml", b"a: [")
    with pytest.raises(UserError, match=r"versions/1/model.yaml is damaged .* give --config"):
        of_version(work.path, "flights")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--work", "/nowhere", "--model", "flights"],
        ["--work", "gs://bucket", "--model", "flights"],
        ["--model", "../x"],
        ["--model", "flights", "--config", "/nowhere"],
    ],
)
def test_wrong_options_are_refused_in_a_sentence(work, capsys, wrong):
    assert main(["--work", str(work.path), *wrong]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_money_has_digits_that_count():
    assert [money(size, Retention()) for size in (0, 10**6, 10**9, 10**12)] == ["0.00", "2.3e-05", "0.023", "23.00"]


def test_without_options_it_is_about_all_models_of_the_usual_work_directory(work, old, capsys, monkeypatch):
    monkeypatch.chdir(work.path.parent)
    assert main(["--dry-run"]) == 1
    assert ".evergreen is not a folder" in capsys.readouterr().err
    work.path.rename(".evergreen")
    assert main(["--dry-run"]) == 0
    assert old.name in capsys.readouterr().out


def test_a_model_that_is_not_there_is_told_with_those_that_are(work, old, capsys):
    assert main(["--work", str(work.path), "--model", "nosuch"]) == 1
    assert capsys.readouterr().err.endswith("models there: flights\n")


def test_a_folder_that_is_no_models_does_not_hold_up_the_others(work, old, capsys):
    (work.path / "data" / "My_Model").mkdir(parents=True)
    assert main(["--work", str(work.path), "--all"]) == 0
    assert "'My_Model' cannot be a model's name" in capsys.readouterr().err
    assert not old.exists()


def test_names_are_shown_as_they_are_and_on_one_line(work, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    work.file("requests/flights/a[red]b.jsonl", 0)
    assert main(["--work", str(work.path), "--model", "flights", "--dry-run"]) == 0
    assert "requests/flights/a[red]b.jsonl\t5 bytes\trequests until 1970-01-01" in capsys.readouterr().out
