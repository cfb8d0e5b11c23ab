"""What is wrong with the rows, each as one sentence with a severity.

Errors: no labelled rows; labels that are all the same; a column that a feature reads without a single value, with many
more missing values than the version in service saw or, for text, with many that it never saw. Warnings: a column that
has had many missing values from the start; a class without rows; a constant column; a column that nothing reads without
a single value; numbers far outside what the version in service saw; new labels that are all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.validate.config import ValidateConfig
from components.validate.statistics import Images, Numbers, Summary, Tokens

MIN_ROWS = 100
"""Fewer new rows than that are not judged by themselves, because shares of few rows say little."""

Severity = Literal["error", "warning"]
Summaries = Mapping[str, Summary]


@dataclass(frozen=True)
class Anomaly:
    """Something wrong with a column."""

    column: str
    severity: Severity
    what: str

    def to_dict(self) -> dict[str, str]:
        """The anomaly as the record holds it."""
        return asdict(self)


def find(
    config: ValidateConfig, whole: Summaries, fresh: Summaries, baseline: Mapping[str, Any] | None
) -> list[Anomaly]:
    """Everything that is wrong, errors first.

    Args:
        config: the columns, those that features read, and the limits.
        whole: summaries of all rows of the snapshot.
        fresh: summaries of the rows that the version in service was not trained on; `whole` where there is none.
        baseline: `columns` of that version's `statistics.json`; None where there is none.
    """
    found = [*_label(config, whole, fresh), *_columns(config, whole, fresh, baseline or {})]
    if baseline is not None:
        found += _against(config, fresh, baseline)
    return sorted(found, key=lambda anomaly: anomaly.severity)


def stopping(anomalies: list[Anomaly], stop_on: Severity) -> list[Anomaly]:
    """Those that stop the run."""
    return [anomaly for anomaly in anomalies if stop_on == "warning" or anomaly.severity == "error"]


def _label(config: ValidateConfig, whole: Summaries, fresh: Summaries) -> Iterator[Anomaly]:
    name = config.data.label
    label, new = whole[name], fresh[name]
    if not label.count:
        yield Anomaly(name, "error", f"none of the {label.rows} rows has a value in the label {name}")
    elif label.constant:
        yield Anomaly(name, "error", f"the label {name} is {_only(label)} in all {label.count} labelled rows")
    elif new.count >= MIN_ROWS and new.constant:
        yield Anomaly(name, "warning", f"the label {name} is {_only(new)} in all {new.count} new labelled rows")
    if isinstance(label, Tokens) and label.count:
        yield from _absent_classes(config, label.counts())


def _absent_classes(config: ValidateConfig, counts: Mapping[str, int]) -> Iterator[Anomaly]:
    name = config.data.label
    for value in config.data.label_classes:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if text not in counts:
            yield Anomaly(name, "warning", f"no row has the class {text} in the label {name}")


def _only(summary: Summary) -> str:
    assert not isinstance(summary, Images)  # which no label is
    return f"{summary.min:g}" if isinstance(summary, Numbers) else next(iter(summary.counts()))


def _columns(
    config: ValidateConfig, whole: Summaries, fresh: Summaries, baseline: Mapping[str, Any]
) -> Iterator[Anomaly]:
    for name, summary in whole.items():
        if name == config.data.label:
            continue
        is_read = name in config.read_columns
        if not summary.count:
            yield Anomaly(name, "error" if is_read else "warning", f"{name} is missing in all {summary.rows} rows")
        elif is_read:
            limit = config.missing_limit(name)
            is_new = baseline.get(name, {"missing": 1})["missing"] <= limit
            yield from _missing(name, summary, fresh[name], limit, "error" if is_new else "warning")
            if summary.constant:
                yield Anomaly(name, "warning", f"{name} is {_only(summary)} in every row that has a value")


def _missing(name: str, whole: Summary, fresh: Summary, limit: float, severity: Severity) -> Iterator[Anomaly]:
    """Judges the new rows by themselves too: a feed that just broke is few among all rows."""
    for summary, which in ((whole, "rows"), (fresh, "new rows")):
        share = 1 - summary.count / max(summary.rows, 1)
        if share > limit and (summary is whole or summary.rows >= MIN_ROWS):
            what = f"{name} is missing in {share:.1%} of the {summary.rows} {which}"
            yield Anomaly(name, severity, f"{what}, more than its limit of {limit:.1%} (missing_limits or max_missing)")
            return


def _against(config: ValidateConfig, fresh: Summaries, baseline: Mapping[str, Any]) -> Iterator[Anomaly]:
    for name in config.compared_columns:
        old, new = baseline.get(name), fresh[name]
        if old is None or old["type"] != new.type or name == config.data.label or not new.count:
            continue
        if isinstance(new, Numbers):
            yield from _far_outside(name, new, old)
        elif isinstance(new, Tokens) and can_be_unseen(old, new):
            yield from _unseen(name, new, old, config.validate_.max_unseen)


def can_be_unseen(old: Mapping[str, Any] | None, new: Summary) -> bool:
    """Whether it is known of every text if the version in service saw it."""
    return isinstance(new, Tokens) and old is not None and old["type"] == new.type and old["others"] is not None


def unseen(new: Tokens, old: Mapping[str, Any]) -> dict[str, int]:
    """The values that the version in service never saw, with how often each came, most frequent first."""
    known = {*old["labels"], *old["others"]}
    return {token: count for token, count in new.counts().items() if token not in known}


def _unseen(name: str, new: Tokens, old: Mapping[str, Any], limit: float) -> Iterator[Anomaly]:
    found = unseen(new, old)
    share = sum(found.values()) / new.count
    if share > limit and new.count >= MIN_ROWS:
        examples = ", ".join(list(found)[:3])
        what = f"{share:.1%} of the {new.count} new values of {name} were never seen before (such as {examples})"
        yield Anomaly(name, "error", f"{what}, more than the {limit:.1%} of max_unseen")


def _far_outside(name: str, new: Numbers, old: Mapping[str, Any]) -> Iterator[Anomaly]:
    """Farther beyond the range seen than that range is wide."""
    if "min" not in old or old["min"] == old["max"]:
        return
    width = old["max"] - old["min"]
    for value, beyond in ((new.min, old["min"] - new.min), (new.max, new.max - old["max"])):
        if beyond > width:
            seen = f"{old['min']:g} to {old['max']:g}"
            yield Anomaly(name, "warning", f"{name} has {value:g}, far outside {seen}, the range seen in training")
