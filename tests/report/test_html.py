"""The report as a file: whole, self-contained, safe, and never failing on what records lack."""

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.artifacts import Record
from components.report.html import TITLES, render, write_report
from tests.report import samples

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\x00\x1b[31m\ud800"
VOID = {"meta", "wbr"}
WITHOUT_TRAINING = {"data", "drift", "time", "lineage", "cleanup"}
SECTIONS = {
    "first_run": set(TITLES) - {"prediction"},
    "warm_run": set(TITLES),
    "many_variants": set(TITLES),
    "refused": set(TITLES) - {"rehearsal", "prediction"},
    "unfit": set(TITLES) - {"prediction"},
    "all_cached": set(TITLES) - {"prediction"},
    "nothing_to_do": WITHOUT_TRAINING,
    "failed": WITHOUT_TRAINING - {"cleanup"},
    "killed": WITHOUT_TRAINING - {"cleanup"} | {"preparation", "training"},
}
HEADLINES = {
    "first_run": "Version 1 is in service",
    "warm_run": "Version 4 is in service",
    "many_variants": "Version 4 is in service",
    "refused": "New model refused",
    "unfit": "New model not deployed",
    "all_cached": "Version 1 stays in service",
    "nothing_to_do": "Nothing to do",
    "failed": "Failed in preprocess",
    "killed": "Stopped in train",
}


class Page(HTMLParser):
    """Checks that elements are nested properly, and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.identities: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.identities += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def page_of(records: dict[str, Record]) -> Page:
    return Page(render(records, "flights", samples.RUN))


@pytest.mark.parametrize("name", samples.ALL)
def test_a_run_has_the_sections_its_records_tell_of(name: str) -> None:
    page = page_of(samples.ALL[name]())
    assert set(page.identities) == SECTIONS[name]
    assert HEADLINES[name] in page.text
    links = {value for attribute, value in page.attributes if attribute == "href"}
    assert links == {f"#{section}" for section in SECTIONS[name]}


@pytest.mark.parametrize("name", samples.ALL)
def test_the_report_loads_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(samples.ALL[name](), path, "flights", samples.RUN)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"(https?:)?//\w|@import|url\(", text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert all(value.startswith("#") for attribute, value in page.attributes if attribute in ("src", "href"))
    assert path.stat().st_size < 200_000
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def poisoned(value: Any) -> Any:
    """The same structure with a hostile text for every text and as every key that comes from data."""
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()} | {HOSTILE: poisoned(next(iter(value.values()), 0))}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return HOSTILE + value if isinstance(value, str) else value


@pytest.mark.parametrize("name", samples.ALL)
def test_hostile_text_stays_text(name: str) -> None:
    clean = samples.ALL[name]()
    hostile = {
        step: Record(**{**asdict(record), "details": poisoned(record.details)}) for step, record in clean.items()
    }
    for record in hostile.values():
        record.run = HOSTILE if record.run == samples.RUN else HOSTILE + record.run
        record.error = record.error and HOSTILE
    hostile[HOSTILE] = Record(HOSTILE, HOSTILE, samples.START_S, 1.0, 1.0, "failed", HOSTILE)
    text = render(hostile, HOSTILE, HOSTILE)
    page = Page(text)
    assert not page.tags & {"script", "img"}
    assert not [attribute for attribute, _ in page.attributes if attribute.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert text.encode()
    assert "\x1b" not in text and "\x00" not in text


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from([0, -1, 1e308, -1e308, 5e-324, 10**400, float("nan"), float("inf"), [], {}, [None], {"a": None}]),
)


@st.composite
def damaged_records(draw: st.DrawFn) -> dict[str, Record]:
    """A sample's records, some missing, with keys dropped and values replaced at any depth."""
    found = draw(st.sampled_from(list(samples.ALL.values())))()
    random = draw(st.randoms(use_true_random=False))
    junk = draw(st.lists(JUNK, min_size=1, max_size=6))
    rate = draw(st.sampled_from([0.02, 0.2, 0.6]))

    def damaged(value: Any) -> Any:
        if random.random() < rate / 2:
            return random.choice(junk)
        if isinstance(value, dict):
            return {key: damaged(part) for key, part in value.items() if random.random() > rate}
        return [damaged(part) for part in value if random.random() > rate] if isinstance(value, list) else value

    kept = {step: record for step, record in found.items() if random.random() > rate / 2}
    for record in kept.values():
        record.details = {key: damaged(value) for key, value in record.details.items() if random.random() > rate}
        record.status = random.choice(["done", "done", "done", "failed", "running"])
        record.startup_s = random.choice([record.startup_s, None])
    return kept


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(damaged_records())
def test_no_missing_or_strange_detail_breaks_the_report(records: dict[str, Record]) -> None:
    page = page_of(records)
    numbers = [
        value for attribute, value in page.attributes if attribute in ("x", "y", "x1", "y1", "cx", "cy", "d", "points")
    ]
    assert not [value for value in numbers if "nan" in value or "inf" in value]


def test_no_records_at_all() -> None:
    page = page_of({})
    assert "Run without a decision" in page.text
    assert set(page.identities) == {"time", "lineage"}


def test_long_lists_are_cut_and_say_so() -> None:
    records = samples.warm_run()
    ingest, validate, evaluate = (records[step].details for step in ("ingest", "validate", "evaluate"))
    ingest["sources"] = ingest["sources"] * 400
    validate["drift"] = {f"{name}{copy}": one for name, one in validate["drift"].items() for copy in range(300)}
    validate["columns"] = {f"column{index}": {"type": "float"} for index in range(5000)}
    evaluate["slices"] = evaluate["slices"] * 100
    records["train"].details["history"] = [
        {**records["train"].details["history"][0], "epoch": epoch} for epoch in range(1, 20_001)
    ]
    records["preprocess"].details["start_reason"] = "long " * 100_000
    text = render(records, "flights", samples.RUN)
    assert len(text.encode()) < 1_000_000
    words = Page(text).text
    assert "40 of 4,800 sources shown" in words
    assert "60 of 3,600 columns shown" in words
    assert "60 of 1,100 slices shown" in words
    assert "Every 100th epoch is drawn" in words


def test_the_column_over_its_limit_comes_first_and_is_marked() -> None:
    text, _, asked = render(samples.warm_run(), "flights", samples.RUN).partition("What the model is asked")
    assert asked
    plots = re.findall(r"<figure( class=\"over\")?><figcaption><h3>(\w+)</h3><span class=\"n\">([\d.]+)( over)?", text)
    distances = [float(distance) for _, _, distance, _ in plots]
    assert distances == sorted(distances, reverse=True)
    assert [name for over, name, _, word in plots if over and word] == ["temperature"]
    assert "1 of 12 columns over the limit:" in text


def test_what_the_model_is_asked_is_told_apart_from_rows() -> None:
    _, _, asked = render(samples.warm_run(), "flights", samples.RUN).partition("What the model is asked</h3>")
    words = Page("<main>" + asked[: asked.index("</section>")] + "</main>").text
    assert "What the model is asked has drifted from what it learned: 18,204 logged requests to version 3." in words
    assert words.index("carrier") < words.index("temperature") < words.index("origin")
    assert "3.1 %" in words
    calm = samples.warm_run()
    for column in calm["validate"].details["requests"]["drift"].values():
        column["distance"] = 0.01
    assert "The model is asked what it learned: 18,204 logged requests" in page_of(calm).text
    del calm["validate"].details["requests"]
    assert "18,204" not in page_of(calm).text


def rehearsal_rows(records: dict[str, Record]) -> dict[str, list[str]]:
    """What the table of the rehearsal says, by the figure's name."""
    _, _, section = render(records, "flights", samples.RUN).partition('<section id="rehearsal">')
    rows = re.findall(r"<tr>(<td.*?)</tr>", section[: section.index("</section>")])
    cells = [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)] for row in rows]
    return {name: rest for name, *rest in cells}


def test_the_rehearsal_shows_each_figure_beside_its_limit() -> None:
    rows = rehearsal_rows(samples.unfit())
    assert rows["Latency p50"] == ["310 µs", "", ""]
    assert rows["Latency p99"] == ["12.3 ms", "at most 5.00 ms", "broken"]
    assert rows["Requests a second"] == ["9,812", "at least 100", "kept"]
    assert rows["Resident memory"] == ["161 MB", "at most 150 MB", "broken"]
    assert rows["Start to ready"] == ["0.8 s", "at most 20.0 s", "kept"]
    assert rows["Largest difference of an answer"] == ["6e-08", "at most 1e-05", "kept"]
    words = page_of(samples.unfit()).text
    assert f".evergreen/runs/{samples.RUN}/rehearse-server.log" in words
    assert "asked 2,000 held-out rows and 1,800 recorded requests" in words
    assert "12 recorded requests no longer fit the columns and would be refused: gate is not a field" in words


def test_a_server_that_did_not_start_has_no_figures() -> None:
    records = samples.unfit()
    details = records["rehearse"].details
    details.update(dict.fromkeys(("latency_p99_ms", "memory_bytes", "start_s", "requests_per_s")))
    details.update(rows=0, recorded=0, failures=["no module named x"], reason="no module named x")
    rows = rehearsal_rows(records)
    assert rows["Latency p99"] == ["–", "at most 5.00 ms", "not measured"]
    assert "no module named x" in page_of(records).text


def test_bulk_prediction_tells_what_it_could_not_read() -> None:
    words = page_of(samples.warm_run()).text
    assert "12,204,117" in words and "24, 2 of them there already" in words
    assert "distance is far; it must be a number" in words
    assert "wind_gust, visib" in words


def test_chosen_and_refused_variants_are_told_apart() -> None:
    text = render(samples.warm_run(), "flights", samples.RUN)
    assert text.count('class="ring"') == 2
    assert text.count('class="cross"') == 2
    assert "0.0022 below float32; at most 0.001 is allowed" in Page(text).text


def test_cached_steps_name_their_run() -> None:
    page = page_of(samples.all_cached())
    assert f"from run {samples.EARLIER}, 2026-11-15" in page.text


def test_records_survive_their_way_through_files(tmp_path: Path) -> None:
    """What the samples hold is what records may hold: JSON without NaN."""
    for make in samples.ALL.values():
        for record in make().values():
            assert Record(**json.loads(json.dumps(asdict(record), allow_nan=False))) == record


def test_many_labels_are_drawn_as_some_and_all_others() -> None:
    records = samples.warm_run()
    labels = [f"N{number}" for number in range(3000)]
    shares = [1 / 3000] * 3000
    records["validate"].details["drift"] = {
        "tailnum": {"distance": 0.01, "limit": 0.1, "labels": labels, "baseline": shares, "current": shares}
    }
    words = page_of(records).text
    assert "N58: < 0.1 % before" in words
    assert "all others: 98.0 % before, 98.0 % now" in words


def test_times_of_a_time_column_are_dates() -> None:
    records = samples.warm_run()
    records["validate"].details["columns"] = {
        "scheduled": {"type": "timestamp", "min": 1357017300.0, "max": 1388534340}
    }
    assert "2013-01-01 05:15 UTC" in page_of(records).text


def test_a_network_is_named_with_its_settings() -> None:
    assert "wide_deep, hidden 128-64-32, dropout 0.1" in page_of(samples.warm_run()).text


def test_training_tells_how_it_was_distributed_and_computed():
    text = page_of(samples.warm_run()).text
    assert "multi_worker, there are 2 workers, 2,048 examples a step, learning rate 0.00141" in text
    assert "bfloat16 with XLA (steps a second: float32 181, mixed bfloat16 254)" in text
    assert "2 times from a checkpoint" in text


def test_what_was_freed_is_told_with_its_price_and_what_stays_with_its_reason() -> None:
    page = render(samples.first_run(), "flights", samples.RUN)
    section = page[page.index('<section id="cleanup">') :]
    assert "freed, which saves 0.0021 a month; 20 runs kept." in section
    assert "version 7 stays: it was pinned meanwhile" in section
