import pytest

from components.cleanup.__main__ import main


@pytest.fixture
def old(work):
    return work.outputs(86_400.0 * 365 * 20)


def test_a_dry_run_shows_what_would_go_and_deletes_nothing(work, old, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["--work", str(work.path), "--model", "flights", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"pipeline/{old.name}" in shown
    assert "1 in all" in shown
    assert "Nothing was deleted" in shown
    assert old.exists()


def test_without_dry_run_it_deletes(work, old, capsys):
    assert main(["--work", str(work.path), "--model", "flights"]) == 0
    assert "in 1 places" in capsys.readouterr().out
    assert not old.exists()


def test_retention_is_an_option(work, old, capsys):
    assert main(["--work", str(work.path), "--model", "flights", "--days", "100000"]) == 0
    assert capsys.readouterr().out == "Nothing of flights may go.\n"
    assert old.exists()


@pytest.mark.parametrize("wrong", [["--work", "/nowhere"], ["--days", "0"], ["--model", "../x"]])
def test_wrong_options_are_refused_in_a_sentence(work, capsys, wrong):
    assert main(["--work", str(work.path), "--model", "flights", *wrong]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
