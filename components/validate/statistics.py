"""Statistics of rows, from one streaming pass over Parquet files in bounded memory.

`statistics.json` holds `rows`, `labelled`, `label` (the column's name) and `columns`: for each declared column, except
a key of one column,

    type, rows, missing (share), kind        kind "image" has no more
    mean, std, min, max                      integer, float and timestamp (seconds since 1970)
    edges, shares                            kind "numeric": n inner edges and n + 1 shares; the outer bins are open
    distinct, labels, shares, rest, others   kind "category"

Shares are of the values that are not missing. A bin holds the values above its lower edge, up to and including its
upper one. `labels` are the most frequent values, `rest` is the share of all others, and `others` names these, or is
null where there are too many. NaN and infinite floats count as missing.

What bounds the memory also bounds the precision: quantiles and histograms come from a random sample of 200,000 rows
(always the same for the same files; all rows where there are no more), and of columns with more than 200,000
different texts the rarest are forgotten on the way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.features.columns import IMAGE_ROWS, Data

SAMPLE_ROWS = 200_000
BATCH_ROWS = 131_072
BINS = 20
TOP = 100
MAX_LABELS_OF_INTEGERS = 50
MAX_OTHERS = 10_000
MAX_TOKENS = 200_000


class Numbers:
    """A running summary of an integer, float or timestamp column."""

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.rows = 0
        self.count = 0
        self.min, self.max = np.inf, -np.inf
        self._mean = self._squares = 0.0
        self._chosen: list[np.ndarray] = []
        self._sample: np.ndarray | None = None

    def add(self, values: pa.Array, chosen: np.ndarray) -> None:
        """Adds values; `chosen` (rows,) bool tells which belong to the sample."""
        dense = _floats(values, self.type)
        known = np.isfinite(dense)
        self.rows += len(dense)
        self._chosen.append(dense[chosen & known])
        self._sample = None
        self._add_moments(dense[known])

    def _add_moments(self, values: np.ndarray) -> None:
        """Chan, Golub and LeVeque (1979): moments of two parts give those of the whole."""
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.mean()
            shift, total = mean - self._mean, self.count + len(values)
            self._squares += np.square(values - mean).sum() + shift**2 * self.count * len(values) / total
            self._mean += shift * len(values) / total
        self.count = total
        self.min, self.max = min(self.min, values.min()), max(self.max, values.max())

    @property
    def sample(self) -> np.ndarray:
        """Sampled values in ascending order, (values,) float64."""
        if self._sample is None:
            self._sample = np.sort(np.concatenate([np.zeros(0), *self._chosen]))
            self._chosen = [self._sample]
        return self._sample

    @property
    def constant(self) -> bool:
        """Whether there is but one value."""
        return self.count > 0 and self.min == self.max

    def histogram(self, edges: Sequence[float]) -> np.ndarray:
        """The sample's values in each bin, (edges + 1,) int64."""
        up_to_edge = np.searchsorted(self.sample, edges, side="right")
        return np.diff(up_to_edge, prepend=0, append=len(self.sample))

    def counts(self) -> dict[str, int]:
        """How often each value stands in the sample, most frequent first."""
        values, counts = np.unique(self.sample, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {_integer_text(values[index]): int(counts[index]) for index in order}

    def describe(self) -> dict[str, Any]:
        """The column's part of `statistics.json`."""
        described = {"type": self.type, "rows": self.rows, "missing": _missing(self)}
        if self.count:
            described |= {"mean": _finite(self._mean), "std": _finite(np.sqrt(self._squares / self.count))}
            described |= {"min": float(self.min), "max": float(self.max)}
        if self.type == "integer" and len(np.unique(self.sample)) <= MAX_LABELS_OF_INTEGERS:
            return described | {"kind": "category"} | _describe_counts(self.counts())
        edges = quantile_edges(self.sample)
        shares = self.histogram(edges) / max(len(self.sample), 1)
        return described | {"kind": "numeric", "edges": edges, "shares": shares.tolist()}


class Tokens:
    """A running summary of a string or boolean column, or of a column of classes."""

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.rows = 0
        self.count = 0
        self._pending: list[pa.Table] = []
        self._counts: dict[str, int] | None = None

    def add(self, values: pa.Array, _chosen: np.ndarray) -> None:
        """Adds values."""
        self.rows += len(values)
        known = values.drop_null()
        self.count += len(known)
        found = known.value_counts()
        tokens = found.field("values").cast(pa.string())
        self._pending.append(pa.table({"token": tokens, "count": found.field("counts")}))
        self._counts = None
        if sum(map(len, self._pending)) > 2 * MAX_TOKENS:
            self._pending = [self._merged().slice(0, MAX_TOKENS)]

    def _merged(self) -> pa.Table:
        summed = pa.concat_tables(self._pending).group_by("token").aggregate([("count", "sum")])
        renamed = summed.select(["token", "count_sum"]).rename_columns(["token", "count"])
        return renamed.sort_by([("count", "descending"), ("token", "ascending")])

    @property
    def constant(self) -> bool:
        """Whether there is but one value."""
        return len(self.counts()) == 1

    def counts(self) -> dict[str, int]:
        """How often each value was seen, most frequent first."""
        if self._counts is None:
            merged = self._merged() if self._pending else pa.table({"token": [], "count": []})
            self._counts = dict(zip(merged["token"].to_pylist(), merged["count"].to_pylist()))
        return self._counts

    def describe(self) -> dict[str, Any]:
        """The column's part of `statistics.json`."""
        described = {"type": self.type, "rows": self.rows, "missing": _missing(self), "kind": "category"}
        return described | _describe_counts(self.counts())


class Images:
    """A summary of a column of images: how many there are."""

    constant = False
    """Nobody compares them."""

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.rows = 0
        self.count = 0

    def add(self, values: pa.Array, _chosen: np.ndarray) -> None:
        """Adds values."""
        self._add(len(values), values.null_count)

    def add_file(self, file: pq.ParquetFile, name: str) -> None:
        """Adds a column of a file; images are only read where the file does not tell how many are missing."""
        place = file.schema_arrow.get_field_index(name)  # no column is nested, so that it is the column's place too
        for group in range(file.num_row_groups):
            described = file.metadata.row_group(group)
            known = described.column(place).statistics
            if known is not None and known.has_null_count:
                self._add(described.num_rows, known.null_count)
            else:
                for batch in file.iter_batches(IMAGE_ROWS, [group], [name]):
                    self._add(batch.num_rows, batch.column(0).null_count)

    def _add(self, rows: int, missing: int) -> None:
        self.rows += rows
        self.count += rows - missing

    def describe(self) -> dict[str, Any]:
        """The column's part of `statistics.json`."""
        return {"type": self.type, "rows": self.rows, "missing": _missing(self), "kind": "image"}


Summary = Numbers | Tokens | Images


def summarize(paths: Sequence[Path], data: Data) -> dict[str, Summary]:
    """Summarizes the columns of Parquet files in the canonical Arrow types.

    A key of one column is left out: it only names rows, and a list of its values helps nobody.

    Args:
        paths: the files to read, batch by batch.
        data: declares the columns.
    """
    share = SAMPLE_ROWS / max(sum(pq.read_metadata(path).num_rows for path in paths), 1)
    random = np.random.default_rng(0)
    summaries = {name: summary_of(name, data) for name in data.columns if data.key != (name,)}
    images = {name: summary for name, summary in summaries.items() if isinstance(summary, Images)}
    others = {name: summary for name, summary in summaries.items() if name not in images}
    for path in paths:
        with pq.ParquetFile(path) as file:
            for name, counted in images.items():
                counted.add_file(file, name)
            for batch in file.iter_batches(BATCH_ROWS, columns=list(others)):
                chosen = random.random(batch.num_rows) < share
                for name, summary in others.items():
                    summary.add(batch.column(name), chosen)
    return summaries


def summary_of(name: str, data: Data) -> Summary:
    """An empty summary of a column, of the kind that suits it."""
    kind = data.columns[name].type
    if kind == "image":
        return Images(kind)
    is_class = name == data.label and data.task != "regression"
    return Tokens(kind) if is_class or kind in ("string", "boolean") else Numbers(kind)


def describe(summaries: dict[str, Summary], label: str) -> dict[str, Any]:
    """What `statistics.json` holds."""
    return {
        "rows": summaries[label].rows,
        "labelled": summaries[label].count,
        "label": label,
        "columns": {name: summary.describe() for name, summary in summaries.items()},
    }


def quantile_edges(values: np.ndarray) -> list[float]:
    """Inner edges of about 20 bins of equal share; edges lie half way between neighbouring values.

    A value that fills a bin alone gets one of its own, with an edge on either side, so that a column that is mostly 0
    shows when its zeros become something else.

    Args:
        values: (values,) float64, finite.
    """
    if not len(values):
        return []
    distinct, counts = np.unique(values, return_counts=True)
    reached = np.cumsum(counts) / len(values)
    heavy = np.flatnonzero(counts * BINS >= len(values))
    after = np.union1d(np.searchsorted(reached, np.arange(1, BINS) / BINS), heavy)
    bounds = _with_neighbours(distinct)
    places = np.union1d(after, heavy - 1) + 1
    return list(map(float, np.unique(bounds[places] / 2 + bounds[places + 1] / 2)))


def _with_neighbours(distinct: np.ndarray) -> np.ndarray:
    """Adds one value below and one above, as far away as the nearest value inside."""
    with np.errstate(over="ignore"):
        below, above = np.diff(distinct)[[0, -1]] if len(distinct) > 1 else np.maximum(1.0, np.abs(distinct[[0, 0]]))
        bounds: np.ndarray = np.nan_to_num(np.concatenate([distinct[:1] - below, distinct, distinct[-1:] + above]))
    return bounds


def _floats(values: pa.Array, kind: str) -> np.ndarray:
    """Values as (rows,) float64 with NaN for missing; timestamps in seconds since 1970."""
    scale = 1e6 if kind == "timestamp" else 1.0
    numbers = values.cast(pa.int64()) if kind == "timestamp" else values
    filled = pc.fill_null(numbers.cast(pa.float64(), safe=False), float("nan"))
    floats: np.ndarray = filled.to_numpy(zero_copy_only=False) / scale
    return floats


def _describe_counts(counts: dict[str, int]) -> dict[str, Any]:
    total = max(sum(counts.values()), 1)
    tokens = list(counts)
    shares = [counts[token] / total for token in tokens[:TOP]]
    others = tokens[TOP:]
    return {
        "distinct": len(tokens),
        "labels": tokens[:TOP],
        "shares": shares,
        "rest": sum(counts[token] for token in others) / total,
        "others": others if len(others) <= MAX_OTHERS else None,
    }


def _missing(summary: Summary) -> float:
    return 1 - summary.count / summary.rows if summary.rows else 0.0


def _finite(value: float) -> float:
    return float(np.nan_to_num(value, nan=np.finfo(float).max))


def _integer_text(value: float) -> str:
    return str(int(value))
