"""Checks the rows, measures their drift, and decides whether to retrain.

Writes `statistics/statistics.json` (see `statistics.py`): of the snapshot's rows when the answer is "retrain", else a
copy of that of the version in service.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import artifacts
from components.artifacts import LINEAGE, STATISTICS, Partition, Snapshot
from components.errors import UserError
from components.storage.address import Address
from components.store import ModelStore, on_disk
from components.validate import anomalies, drift
from components.validate.anomalies import Anomaly, Summaries
from components.validate.config import ValidateConfig
from components.validate.decide import OF_REQUESTS, Answer, Decision, Situation, decide, with_drift
from components.validate.requests import anomalies_of, measure_requests
from components.validate.statistics import describe, summarize

SHOWN = ("type", "missing", "distinct", "min", "max", "mean")


def validate(
    snapshot: Address,
    serving: Address,
    config: ValidateConfig,
    training_digest: str,
    force: bool,
    work: Address,
    statistics: Path,
) -> Answer:
    """Decides whether to retrain; data is read only when there is reason to, or drift in few new rows may be one.

    The record's details hold `decision`, `reason`, `new_rows` (labelled rows that the version in service was not
    trained on), `anomalies`, `drift`, `drift_skipped` (column → why it was not measured), `columns`, and `requests`,
    what `requests.py` measured of what the model is asked. Anomalies of requests are only told: the run goes on, since
    it is their remedy.

    Args:
        snapshot: the snapshot's folder.
        serving: the version in service, or a folder without files; an address in a bucket is fetched.
        config: the columns, those that features read, and the limits.
        training_digest: digest of the configuration and code that training depends on.
        force: whether to retrain in any case.
        work: the work directory, for the record.
        statistics: the folder to write `statistics.json` into.

    Raises:
        UserError: an anomaly of the severity `stop_on`; the message names all of them.
    """
    with artifacts.recorded("validate", work, (), statistics) as details:
        in_service = on_disk(serving)
        current, version = Snapshot.read(snapshot, work), _Version.read(in_service)
        situation = _situation(current, version, config, training_digest, force, work)
        decision = decide(situation)
        asked = measure_requests(config, in_service, situation.version, version.statistics, work)
        warnings = [anomaly.to_dict() for anomaly in anomalies_of(config, asked)]
        details.update(new_rows=situation.new_rows, anomalies=warnings, drift={}, drift_skipped={}, requests=asked)
        described: Mapping[str, Any] | None = None
        if decision.answer == "retrain" or decision.drift_decides or version.statistics is None:
            described, decision = _examine(current, version, config, decision, details)
        if asked is not None:
            decision = with_drift(decision, drift.over_limit(asked["drift"]), OF_REQUESTS)
        if decision.answer == "nothing":
            described = version.statistics or described
        assert described is not None
        artifacts.write_json(statistics / STATISTICS, described)
        details.update(_columns(described), decision=decision.answer, reason=decision.reason)
        return decision.answer


@dataclass(frozen=True)
class _Version:
    """What validate reads of the version in service; empty where there is none."""

    lineage: Mapping[str, Any]
    statistics: Mapping[str, Any] | None

    @classmethod
    def read(cls, folder: Path) -> "_Version":
        if not (folder / LINEAGE).exists():
            return cls({}, None)
        statistics = folder / STATISTICS
        described = artifacts.read_json(statistics) if statistics.exists() else None
        return cls(artifacts.read_json(folder / LINEAGE), described)

    def new(self, snapshot: Snapshot) -> tuple[Partition, ...]:
        known = set(self.lineage.get("partitions", ()))
        return tuple(part for part in snapshot.partitions if part.digest not in known)


def _situation(
    snapshot: Snapshot, version: _Version, config: ValidateConfig, training_digest: str, force: bool, work: Address
) -> Situation:
    new = version.new(snapshot)
    return Situation(
        forced=force,
        version=version.lineage.get("version"),
        same_digest=version.lineage.get("training_digest") == training_digest,
        snapshot=snapshot.digest,
        same_snapshot=version.lineage.get("snapshot") == snapshot.digest,
        new_partitions=len(new),
        new_rows=sum(part.rows - part.unlabelled for part in new),
        min_new_rows=config.validate_.min_new_rows,
        withdrawn=_withdrawn(version, snapshot, training_digest, work),
    )


def _withdrawn(version: _Version, snapshot: Snapshot, training_digest: str, work: Address) -> int | None:
    if not version.lineage:
        return None
    store = ModelStore(work, version.lineage.get("name", ""))
    made_of = {"snapshot": snapshot.digest, "training_digest": training_digest}
    for number in store.withdrawn():
        made = store.find(number)  # None: cleaned up since
        if made is not None and all(made.lineage.get(key) == value for key, value in made_of.items()):
            return number
    return None


def _examine(
    snapshot: Snapshot, version: _Version, config: ValidateConfig, decision: Decision, details: dict[str, Any]
) -> tuple[Mapping[str, Any], Decision]:
    """Reads the rows: their statistics, and the decision with what drift adds to its reason."""
    whole = summarize(snapshot.paths(), config.data)
    new = version.new(snapshot)
    paths = [part.rows_path(snapshot.data_root) for part in new]
    fresh = whole if len(new) == len(snapshot.partitions) else summarize(paths, config.data)
    baseline = version.statistics and version.statistics["columns"]
    described = describe(whole, config.data.label)
    details.update(_columns(described))
    drifted = _drift(config, fresh, baseline, details)
    found = anomalies.find(config, whole, fresh, baseline)
    details["anomalies"] = [*(anomaly.to_dict() for anomaly in found), *details["anomalies"]]
    _stop(anomalies.stopping(found, config.validate_.stop_on))
    return described, with_drift(decision, drifted)


def _drift(
    config: ValidateConfig, fresh: Summaries, baseline: Mapping[str, Any] | None, details: dict[str, Any]
) -> dict[str, tuple[float, float]]:
    """Records the drift of every compared column; returns distance and limit of those over their limit."""
    if baseline is None:
        return {}
    details["drift"], details["drift_skipped"] = drift.measure_all(fresh, baseline, config)
    return drift.over_limit(details["drift"])


def _columns(described: Mapping[str, Any]) -> dict[str, Any]:
    columns = described["columns"].items()
    return {"columns": {name: {key: column[key] for key in SHOWN if key in column} for name, column in columns}}


def _stop(stopping: list[Anomaly]) -> None:
    if stopping:
        sentences = "; ".join(anomaly.what for anomaly in stopping)
        raise UserError(f"{sentences}; mend the data, or change the section validate of model.yaml")
