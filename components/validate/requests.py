"""Drift of what the model is asked: the server's log against what the version in service was trained on.

Requests come at once, rows with labels days later: what people ask shows a change first. A retraining cannot follow it
before new rows have come, because on the same rows it makes the same model; so where there are none, drift of requests
is told, and does not decide.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components import artifacts
from components.errors import UserError
from components.features.columns import MISSING_INTEGER, ColumnType, Data
from components.features.instances import fitting
from components.features.rows import from_rows
from components.features.transform import Transform
from components.storage.address import Address
from components.validate import drift
from components.validate.anomalies import MIN_ROWS, Anomaly, can_be_unseen, unseen
from components.validate.config import ValidateConfig
from components.validate.statistics import Summary, Tokens, summary_of

MOST_REQUESTS = 20_000
"""The newest ones; some seconds of work."""


def measure_requests(
    config: ValidateConfig, serving: Path, version: int | None, statistics: Mapping[str, Any] | None, work: Address
) -> dict[str, Any] | None:
    """Measures the drift of the newest instances that the version in service answered, in the columns that it reads.

    Args:
        config: the model's name, the columns that are compared, and the limits.
        serving: the folder of the version in service.
        version: its number; None where there is none.
        statistics: its `statistics.json`; None where there is none.
        work: the work directory.

    Returns:
        None where fewer than `min_requests` were logged. Otherwise `version`; `rows` and `unfit`, the instances
        measured and those that do not fit the declared columns; `drift` and `drift_skipped` by column, as validate
        records them of rows; `unseen`, the share of texts never seen in training, by column.
    """
    if version is None or statistics is None:
        return None
    logged = artifacts.read_requests(artifacts.request_log(work, config.name), MOST_REQUESTS)
    asked = [line["instance"] for line in logged if line.get("version") == version]
    if len(asked) < config.validate_.min_requests:
        return None
    names = _names(config, serving)
    # Without fields that are no longer declared, which would make the whole instance unfit.
    cut = [{name: instance[name] for name in names if name in instance} for instance in asked]
    instances, misfits = fitting(cut, config.data, names)
    summaries = _summarize(instances, config.data, names)
    drifts, skipped = drift.measure_all(summaries, statistics["columns"], config)
    return {
        "version": version,
        "rows": len(instances),
        "unfit": len(misfits),
        "drift": drifts,
        "drift_skipped": skipped,
        "unseen": _unseen(summaries, statistics["columns"]),
    }


def _names(config: ValidateConfig, serving: Path) -> list[str]:
    """The compared columns that the version in service reads: of others it need not be told.

    None where the version was written by code whose declarations today's code does not know.
    """
    try:
        read = Transform.read(serving).source_columns
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in config.compared_columns if name in read]


def _unseen(summaries: Mapping[str, Summary], baseline: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: sum(unseen(summary, baseline[name]).values()) / summary.count
        for name, summary in summaries.items()
        if isinstance(summary, Tokens) and summary.count >= MIN_ROWS and can_be_unseen(baseline.get(name), summary)
    }


def _summarize(instances: Sequence[Mapping[str, Any]], data: Data, names: Sequence[str]) -> dict[str, Summary]:
    raw = from_rows(instances, data, names)
    every = np.ones(len(instances), bool)
    summaries = {name: summary_of(name, data) for name in names}
    for name, summary in summaries.items():
        summary.add(_arrow(raw[name], data.columns[name].type), every)
    return summaries


def _arrow(values: np.ndarray, kind: ColumnType) -> pa.Array:
    """A dense column with nulls for what is missing; compared columns are never timestamps."""
    if kind == "string":
        return pa.array(values, pa.string(), mask=values == "")
    if kind == "float":
        return pa.array(values.astype(np.float64), from_pandas=True)
    missing = values == MISSING_INTEGER
    return pa.array(values.astype(bool) if kind == "boolean" else values, mask=missing)


def anomalies_of(config: ValidateConfig, asked: Mapping[str, Any] | None) -> list[Anomaly]:
    """A warning for each column that drifted, or brings too many texts never seen in training."""
    if asked is None:
        return []
    of = f"{asked['rows']:,} requests to version {asked['version']}"
    drifted = [
        Anomaly(name, "warning", f"{name} in {of} has drifted from training by {distance:.2f}, over {limit:g}")
        for name, (distance, limit) in drift.over_limit(asked["drift"]).items()
    ]
    limit = config.validate_.max_unseen
    return drifted + [
        Anomaly(name, "warning", f"{share:.1%} of {name} in {of} was never seen in training, over max_unseen {limit:g}")
        for name, share in asked["unseen"].items()
        if share > limit
    ]
