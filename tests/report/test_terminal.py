"""The summary in the terminal."""

import io

import pytest
from rich.console import Console

from components.artifacts import Record
from components.report.terminal import print_summary, step_line
from tests.report import samples

PATHS = {"report": ".evergreen/runs/2026-11-22-160412/report.html", "model version": "/very/long" * 20, "logs": "logs"}


def printed(records: dict[str, Record], width: int, name: str = "flights", run: str = samples.RUN) -> list[str]:
    file = io.StringIO()
    print_summary(records, Console(file=file, width=width), name, run, PATHS)
    return file.getvalue().split("\n")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", samples.ALL)
def test_every_line_fits_and_paths_are_whole(name: str, width: int) -> None:
    lines = printed(samples.ALL[name](), width)
    assert any(line.endswith("/very/long" * 20) for line in lines)
    assert [line for line in lines if len(line) > width and "/very/long" not in line] == []
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("name", ["first_run", "warm_run", "many_variants", "refused", "all_cached"])
def test_at_80_columns_only_sentences_need_a_second_line(name: str) -> None:
    lines = printed(samples.ALL[name](), 80)
    continued = [line.strip() for line in lines if line.startswith(" " * 30) and line.strip()]
    words = " ".join(line for line in continued if "ready in" not in line)
    assert not any(figure in words for figure in ("KiB", "AUC", "floats", " s "))


def test_the_decision_and_the_figures_are_there() -> None:
    text = "\n".join(printed(samples.warm_run(), 120))
    assert "Version 4 is in service" in text
    assert "+0.0060, better than version 3 (0.6990)" in text
    assert "107 KiB" in text and "26.6 % of float32" in text
    assert "p99 42.8 µs" in text
    assert "12 files (3 new), 336,776 rows, 3 rejected" in text


def test_a_failed_run_says_where_and_why_and_what_is_in_service() -> None:
    text = " ".join(" ".join(printed(samples.failed(), 80)).split())
    assert "Failed in preprocess" in text
    assert "set it to at most 300 or give more data" in text
    assert "Version 3 stays in service." in text
    assert text.count("not reached: preprocess failed") == 6


def test_a_cached_step_takes_no_time_and_names_its_run() -> None:
    lines = printed(samples.all_cached(), 80)
    train = next(line for line in lines if line.startswith("train"))
    assert train.split()[1:3] == ["cached", "cold,"]
    assert "All cached" not in "".join(lines)


@pytest.mark.parametrize("width", [80, 120])
def test_cached_steps_tell_since_when_each_is_there(width: int) -> None:
    records = samples.all_cached()
    cached = [record for record in records.values() if record.run == samples.EARLIER]
    for record in cached:
        record.started_s = 1_794_722_401.0
    text = " ".join(" ".join(printed(records, width)).split())
    assert f"The cached steps are there since 2026-11-15 06:00 UTC, from run {samples.EARLIER}." in text
    records["train"].started_s += 26 * 60
    text = " ".join(" ".join(printed(records, width)).split())
    assert f"Cached from run {samples.EARLIER}: preprocess, " in text
    assert " since 2026-11-15 06:00 UTC; train since 2026-11-15 06:26 UTC." in text


@pytest.mark.parametrize("width", [80, 120])
def test_steps_from_several_runs_are_told_apart(width: int) -> None:
    records = samples.all_cached()
    records["preprocess"].run, records["preprocess"].started_s = "2026-11-08-060001", 1_794_117_601.0
    text = " ".join(" ".join(printed(records, width)).split())
    assert "Cached from run 2026-11-08-060001: preprocess since 2026-11-08 06:00 UTC." in text
    assert f"Cached from run {samples.EARLIER}: train since 2026-11-15 06:00 UTC; compress-" in text


def test_markup_and_control_characters_are_only_text() -> None:
    records = samples.failed()
    records["preprocess"].error = "[bold]not bold[/nothing] \x1b[31mred\x07"
    text = "\n".join(printed(records, 120, name="[red]x[/]", run="[/]"))
    assert "[bold]not bold[/nothing]" in text
    assert "[red]x[/]" in text
    assert "\x1b" not in text


def test_step_lines() -> None:
    lines = {step: step_line(record) for step, record in samples.warm_run().items()}
    assert lines["ingest"] == "12 files (3 new), 336,776 rows, 3 rejected"
    assert lines["preprocess"] == "warm, 43,120 rows, 24 floats + 14 ids"
    assert lines["train"] == "warm, 5 epochs, best 3: AUC 0.7389"
    assert lines["compress-int8"] == "109 KiB"
    assert lines["evaluate"] == "blessed: dynamic, AUC 0.7050"
    of_many = {step: step_line(record) for step, record in samples.many_variants().items()}
    assert of_many["compress-float16"] == "227 KiB"
    assert of_many["compress-pruned_int8"] == "137 KiB, 1.45 M examples, 80.0 % zeros"
    assert lines["rehearse"] == "fit: p50 310 µs, p99 920 µs, 9,812 requests/s, 92 MB, ready in 0.8 s"
    assert lines["deploy"] == "version 4 is serving"
    assert lines["predict"] == "12,204,117 rows, 812,346 rows/s, 3 bad, 2 shards there already"
    assert lines["finish"] == "freed 85.8 MiB in 2 places"


def test_step_lines_of_what_was_not_done() -> None:
    assert step_line(samples.unfit()["rehearse"]).startswith("unfit: p99 latency is 12.3 ms; rehearse.latency_p99_ms")


@pytest.mark.parametrize("step", [*samples.warm_run(), ""])
def test_step_lines_of_empty_records(step: str) -> None:
    assert step_line(Record(step, "r", 0.0, status="done")) == ""
    assert step_line(Record(step, "r", 0.0)) == "running"
    assert step_line(Record(step, "r", 0.0, status="failed", error="disk full")) == "disk full"
