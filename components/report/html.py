"""The run's report as one HTML file that needs nothing else: no network, no script, no font."""

from collections.abc import Mapping
from pathlib import Path

from components import artifacts
from components.artifacts import Record
from components.report import (
    data_section,
    fields,
    prediction_section,
    quality_section,
    rehearsal_section,
    run_section,
    training_section,
    variants_section,
)
from components.report import format as fmt
from components.report.decision import Decision, decide
from components.report.figures import key_figures
from components.report.markup import Html, element, join
from components.report.quality import quality
from components.report.steps import ORDER, decision_of, details, steps
from components.report.timing import timing

STYLE = Path(__file__).with_name("style.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
TITLES = {
    "data": "Data",
    "drift": "Drift",
    "preparation": "Preparation",
    "training": "Training",
    "quality": "Quality",
    "variants": "Variants",
    "rehearsal": "Rehearsal",
    "prediction": "Bulk prediction",
    "time": "Steps and time",
    "lineage": "Lineage",
    "cleanup": "Cleanup",
}


def write_report(records: Mapping[str, Record], path: Path, name: str, run: str) -> None:
    """Writes the report of a run, atomically.

    Args:
        records: the run's records by step (`artifacts.read_records`), complete or not.
        path: the HTML file to write.
        name: the model's name.
        run: the run's name; records of other runs are shown as taken from the cache.
    """
    artifacts.write_bytes(path, render(records, name, run).encode())


def render(records: Mapping[str, Record], name: str, run: str) -> str:
    """The report as HTML text; arguments as for `write_report`."""
    outcome = decide(records, run)
    body = element("body", element("main", _top(records, outcome, name, run), *_sections(records, run), _foot()))
    head = _head(f"{name}: {outcome.headline}")
    return "<!doctype html>\n" + element("html", head, body, lang="en")


def _head(title: str) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        element("title", title),
        element("style", Html(STYLE.read_text(encoding="utf-8"))),
    )


def _top(records: Mapping[str, Record], outcome: Decision, name: str, run: str) -> Html:
    started = [record.started_s for record in records.values() if record.run == run]
    why = ""
    if decision_of(records, "validate") == "retrain":
        why = fields.text(details(records, "validate"), "reason")
    top = run_section.header(outcome, why, fmt.clipped(name, 200), fmt.clipped(run, 200), min(started, default=None))
    return join([top, run_section.figures(key_figures(records, run))])


def _sections(records: Mapping[str, Record], run: str) -> list[Html]:
    found = quality(records)
    of = {step: details(records, step) for step in ORDER}
    sections = [
        data_section.data_section(of["ingest"], of["validate"]),
        data_section.drift_section(of["validate"]),
        training_section.preparation_section(of["preprocess"]),
        training_section.training_section(of["train"], of["preprocess"]),
        quality_section.quality_section(of["evaluate"], found),
        variants_section.variants_section(found),
        rehearsal_section.rehearsal_section(of["rehearse"]),
        prediction_section.prediction_section(of["predict"]),
        run_section.time_section(steps(records, run), timing(records, run)),
        run_section.lineage_section(records, run),
        run_section.cleanup_section(records),
    ]
    return [_contents(sections), *sections]


def _contents(sections: list[Html]) -> Html:
    """Links to the sections that this report has."""
    links = [
        element("a", title, href=f"#{identity}")
        for identity, title in TITLES.items()
        if any(section.startswith(f'<section id="{identity}">') for section in sections)
    ]
    return element("nav", *links, aria_label="Sections")


def _foot() -> Html:
    return element(
        "footer", "Evergreen. Made from the run's records alone; times are UTC. Point at any mark for its figures."
    )
