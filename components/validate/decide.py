"""Whether to retrain, and why, in one sentence."""

from dataclasses import dataclass
from typing import Literal

Answer = Literal["retrain", "nothing"]
OF_ROWS = "drift over the limit in"
OF_REQUESTS = "what the model is asked has drifted from what it learned in"


@dataclass(frozen=True)
class Situation:
    """What the decision rests on."""

    forced: bool
    version: int | None
    """The version in service."""
    same_digest: bool
    """Whether the sections and the code that training depends on are those of the version in service."""
    snapshot: str
    """Digest of the snapshot."""
    same_snapshot: bool
    """Whether the version in service was trained on this very snapshot."""
    new_partitions: int
    """Partitions that the version in service was not trained on."""
    new_rows: int
    """Their labelled rows."""
    min_new_rows: int
    withdrawn: int | None = None
    """A version that was made of this very snapshot and description, and was taken out of service."""


@dataclass(frozen=True)
class Decision:
    """The answer and its reason."""

    answer: Answer
    reason: str
    drift_decides: bool = False
    """Whether there are new rows, too few of them to retrain unless they drifted."""


def decide(situation: Situation) -> Decision:
    """Decides by the first rule that holds: forced, no model, withdrawn, changed description, new data, nothing."""
    if situation.forced:
        return Decision("retrain", "forced by the run's parameter force")
    if situation.version is None:
        return Decision("retrain", "no model is in service yet")
    if situation.withdrawn is not None:
        made = f"version {situation.withdrawn}, which was made from this very snapshot and configuration, was withdrawn"
        return Decision("nothing", f"{made}; version {situation.version} stays in service until something changes")
    if not situation.same_digest:
        version = situation.version
        return Decision("retrain", f"the configuration or the code of training has changed since version {version}")
    if situation.new_partitions:
        return _by_new_rows(situation)
    return Decision("nothing", _why_nothing(situation))


def _by_new_rows(situation: Situation) -> Decision:
    rows, parts = _counted(situation.new_rows, "new labelled row"), _counted(situation.new_partitions, "partition")
    what = f"{rows} of {parts} since version {situation.version}"
    if situation.new_rows >= situation.min_new_rows:
        return Decision("retrain", f"new data: {what}")
    few = f"too little new data: {what}, fewer than min_new_rows {situation.min_new_rows:,}"
    return Decision("nothing", few, drift_decides=situation.new_rows > 0)  # without, it is the same model again


def _why_nothing(situation: Situation) -> str:
    name = f"snapshot {situation.snapshot[:8]}"
    if situation.same_snapshot:
        return f"{name} is the one that version {situation.version} was trained on"
    return f"{name} holds only rows that version {situation.version} was trained on"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_drift(decision: Decision, drift: dict[str, tuple[float, float]], what: str = OF_ROWS) -> Decision:
    """Adds to the reason which columns drifted; where there are too few new rows, drift is reason enough to retrain.

    Args:
        decision: what was decided.
        drift: distance and limit of each column over its limit.
        what: the words before the columns.
    """
    if not drift:
        return decision
    columns = ", ".join(f"{name} ({distance:.2f} > {limit:g})" for name, (distance, limit) in drift.items())
    if decision.drift_decides:
        return Decision("retrain", f"{what} {columns}; otherwise {decision.reason}")
    return Decision(decision.answer, f"{decision.reason}; {what} {columns}")
