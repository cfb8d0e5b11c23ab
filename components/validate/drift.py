"""Drift: how far new rows are from those that the version in service was trained on, column by column.

The distance is the Jensen-Shannon divergence (Lin, "Divergence measures based on the Shannon entropy", 1991) with
logarithms to base 2, so that it lies between 0 and 1, over the bins or labels of the older rows' statistics. Missing
values are a bin of their own, except in the label, where they mean that the truth is not known yet.

Few rows look like drift, because their shares scatter. Three measures against that:

- labels that fewer than 5 of the new rows would have without drift are counted together with all others;
- the divergence expected without drift is subtracted (Grosse et al., "Analysis of symbolic sequences using the
  Jensen-Shannon divergence", Phys. Rev. E 65, 041905, 2002: 8 ln 2 · JS · nN / (n + N) is about chi-squared with
  bins - 1 degrees of freedom, for samples of n and N rows);
- below 100 rows nothing is said at all.

Hence a move among rare labels only shows once there are enough new rows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.validate.config import ValidateConfig
from components.validate.statistics import Images, Numbers, Summary

MIN_ROWS = 100
MIN_EXPECTED_ROWS = 5
OTHER = "(other)"


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon divergence to base 2 of two distributions.

    Args:
        first: shares, (bins,) float64, with sum 1.
        second: likewise.
    """
    middle = (first + second) / 2
    return float((_divergence(first, middle) + _divergence(second, middle)) / 2)


def _divergence(shares: np.ndarray, reference: np.ndarray) -> float:
    there = shares > 0
    return float(np.sum(shares[there] * np.log2(shares[there] / reference[there])))


def expected_divergence(bins: int, first_rows: float, second_rows: float) -> float:
    """The Jensen-Shannon divergence that two samples of one distribution have on average."""
    return (bins - 1) / (8 * math.log(2)) * (1 / first_rows + 1 / second_rows)


def skip_reason(baseline: Mapping[str, Any] | None, current: Summary, is_label: bool) -> str | None:
    """Why a column's drift cannot be measured, in half a sentence; None where it can."""
    if baseline is None or baseline["type"] != current.type:
        return "the version in service has no statistics of it"
    if _rows(baseline, is_label) == 0:
        return "the version in service saw no value of it"
    rows = current.count if is_label else current.rows
    return f"{rows} new rows are too few, {MIN_ROWS} are needed" if rows < MIN_ROWS else None


def measure(baseline: Mapping[str, Any], current: Summary, is_label: bool) -> dict[str, Any]:
    """Measures a column's drift.

    Args:
        baseline: the column's part of the older `statistics.json`.
        current: the new rows' summary.
        is_label: whether missing values are left out.

    Returns:
        `distance`; `kind`; `edges` (n inner edges) or `labels`; `baseline` and `current`, the shares of the n + 1 bins
        or of the labels among the values that are not missing; `baseline_missing` and `current_missing`.
    """
    if baseline["kind"] == "numeric":
        bins, old, counts = _numeric(baseline, current)
    else:
        bins, old, counts = _categorical(baseline, current)
    new = counts / max(counts.sum(), 1)
    missing = (0.0, 0.0) if is_label else (baseline["missing"], 1 - current.count / current.rows)
    rows = _rows(baseline, is_label), current.count if is_label else current.rows
    return {
        "distance": _distance(_with_missing(old, missing[0]), _with_missing(new, missing[1]), rows),
        "kind": baseline["kind"],
        **bins,
        "baseline": old.tolist(),
        "current": new.tolist(),
        "baseline_missing": missing[0],
        "current_missing": missing[1],
    }


def measure_all(
    summaries: Mapping[str, Summary], baseline: Mapping[str, Any], config: ValidateConfig
) -> tuple[dict[str, Any], dict[str, str]]:
    """Measures the drift of every column that is compared.

    Args:
        summaries: of the new rows, by column; those that are not compared, or not there, are left out.
        baseline: `columns` of the older `statistics.json`.
        config: tells which columns are compared, and the limits.

    Returns:
        what `measure` gives, with `limit`, by column; and why the others could not be measured.
    """
    found: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for name in config.compared_columns:
        is_label = name == config.data.label
        if name not in summaries:
            continue
        reason = skip_reason(baseline.get(name), summaries[name], is_label)
        if reason is not None:
            skipped[name] = reason
        else:
            measured = measure(baseline[name], summaries[name], is_label)
            found[name] = {**measured, "limit": config.drift_limit(name)}
    return found, skipped


def over_limit(found: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Distance and limit of each column over its limit, of what `measure_all` found."""
    measures = {name: (column["distance"], column["limit"]) for name, column in found.items()}
    return {name: (distance, limit) for name, (distance, limit) in measures.items() if distance > limit}


def _rows(baseline: Mapping[str, Any], is_label: bool) -> int:
    known: float = 1 - baseline["missing"] if is_label else 1.0
    return round(int(baseline["rows"]) * known)


def _numeric(baseline: Mapping[str, Any], current: Summary) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    assert isinstance(current, Numbers)
    edges = baseline["edges"]
    return {"edges": edges}, np.asarray(baseline["shares"]), current.histogram(edges)


def _categorical(baseline: Mapping[str, Any], current: Summary) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    assert not isinstance(current, Images)
    counts = current.counts()
    total = sum(counts.values())
    frequent = [share * total >= MIN_EXPECTED_ROWS for share in baseline["shares"]]
    labels = [label for label, kept in zip(baseline["labels"], frequent) if kept]
    shares = [share for share, kept in zip(baseline["shares"], frequent) if kept]
    found = [counts.get(label, 0) for label in labels]
    old = np.asarray([*shares, max(0.0, 1 - sum(shares))])
    return {"labels": [*labels, OTHER]}, old, np.asarray([*found, total - sum(found)])


def _with_missing(shares: np.ndarray, missing: float) -> np.ndarray:
    """Shares of all rows; where all are missing there are no shares to scale."""
    return np.asarray([missing, *(shares * (1 - missing))])


def _distance(old: np.ndarray, new: np.ndarray, rows: Sequence[int]) -> float:
    bins = int(np.count_nonzero(old + new))
    return float(max(0.0, jensen_shannon(old, new) - expected_divergence(bins, *rows)))
