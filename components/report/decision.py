"""What a run decided, as both the report and the terminal say it."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.artifacts import Record
from components.report import fields
from components.report import format as fmt
from components.report.steps import CACHED, STOPPED, broken, decision_of, details, outcome

LONGEST_REASON = 400
"""A refusal names every variant and each of its limits; all of it stands in the table of the variants."""


@dataclass(frozen=True)
class Decision:
    """How a run ended.

    `kind` is `deployed`, `kept` (deployed already by an earlier run), `nothing`, `refused`, `failed` or `unfinished`.
    """

    kind: str
    headline: str
    reason: str
    after: str = ""
    """What it means for the model in service."""


def decide(records: Mapping[str, Record], run: str) -> Decision:
    """The run's decision, from whatever records there are."""
    bad = broken(records, run)
    if bad:
        return _failed(records, bad, outcome(bad, run))
    if "deploy" in records:
        return _deployed(records, run)
    if decision_of(records, "validate") == "nothing":
        reason = fields.text(details(records, "validate"), "reason")
        return Decision("nothing", "Nothing to do", reason, in_service(records))
    if decision_of(records, "evaluate") == "refused":
        reason = fmt.clipped(fields.text(details(records, "evaluate"), "reason"), LONGEST_REASON)
        return Decision("refused", "New model refused", reason, in_service(records))
    if decision_of(records, "rehearse") == "unfit":
        reason = fields.text(details(records, "rehearse"), "reason")
        return Decision("refused", "New model not deployed", f"Unfit to serve: {reason}", in_service(records))
    return Decision("unfinished", "Run without a decision", "The run's records tell of no decision.")


def _failed(records: Mapping[str, Record], bad: Record, how: str) -> Decision:
    if how == STOPPED:
        reason = f"{bad.step} was still running when the run ended: its process was killed or is still at work."
        return Decision("failed", f"Stopped in {bad.step}", reason, in_service(records))
    reason = fields.line(bad.error or "The step recorded no reason.")
    return Decision("failed", f"Failed in {bad.step}", reason, in_service(records))


def _deployed(records: Mapping[str, Record], run: str) -> Decision:
    deploy = details(records, "deploy")
    version = f"Version {fields.text(deploy, 'version') or '?'}"
    reason = fields.text(details(records, "evaluate"), "reason")
    if fields.text(deploy, "pointer") == "candidate":
        return Decision("deployed", f"{version} is the candidate", reason, in_service(records))
    previous = fields.text(deploy, "previous")
    if outcome(records["deploy"], run) == CACHED or previous == fields.text(deploy, "version") != "":
        made = "The same data, settings and code made this version before."
        return Decision("kept", f"{version} stays in service", made)
    after = f"It takes over from version {previous}." if previous else "It is this model's first version in service."
    return Decision("deployed", f"{version} is in service", reason, after)


def in_service(records: Mapping[str, Record]) -> str:
    """One sentence on which version is in service when the run deployed none of its own."""
    deploy = details(records, "deploy")
    deployed = (
        "deploy" in records and records["deploy"].status == "done" and fields.text(deploy, "pointer") != "candidate"
    )
    if deployed and fields.text(deploy, "version"):
        return f"Version {fields.text(deploy, 'version')} is in service."
    if "serving" not in details(records, "resolve"):
        return ""
    serving = fields.text(details(records, "resolve"), "serving")
    return f"Version {serving} stays in service." if serving else "No version is in service yet."
