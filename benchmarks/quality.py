"""AUC of models/flights beside scikit-learn's gradient boosting.

    python benchmarks/quality.py [--seeds 3] [--work DIR]

Trained on January to September, tested on October to December 2013; the mean of several seeds. Claim: our AUC is not
below that of `HistGradientBoostingClassifier` (300 iterations) on the same raw columns and rows. What each variant of
the model costs in AUC is measured by `compress.py`.

Ours goes through the steps themselves: ingest, preprocess, train. The last days of the training months choose its best
epoch, and then it is trained on them too. The peer gets every raw column: times as day of the week and minute of the
day, strings with at most 255 values as declared categories, others as ordinal codes.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.training.flights import ALL_MONTHS, MODEL, Flights, Heldout, train_config  # noqa: E402
from benchmarks.training.processes import details  # noqa: E402
from components.config import load  # noqa: E402
from components.features.arrow import dense  # noqa: E402
from components.features.columns import MISSING_INTEGER, Data, RawBatch  # noqa: E402
from components.train.train import train  # noqa: E402

HELDOUT_DAYS = 92
"""October to December."""
MOST_CATEGORIES = 255
DAY_S = 86_400


@dataclass
class Ours:
    """What the pipeline's steps gave, one entry a seed."""

    validation: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    auc: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Peer:
    """What scikit-learn gave, one entry a seed."""

    auc: list[float]
    seconds: list[float]


def run_ours(flights: Flights, examples: Path, seeds: int) -> Ours:
    """Trains and scores once a seed."""
    ours, rows = Ours(), Heldout(examples)
    for seed in range(seeds):
        model = flights.work / f"model-{seed}"
        start_s = time.perf_counter()
        train(examples, flights.empty, train_config(seed=seed), flights.work, model)
        ours.seconds.append(time.perf_counter() - start_s)
        training = details(model)
        ours.epochs.append(training["best_epoch"])
        ours.validation.append(training["history"][training["best_epoch"] - 1]["validation_metric"])
        ours.auc.append(rows.auc_of(model))
    return ours


def heldout(examples: Path) -> tuple[RawBatch, np.ndarray]:
    """The labelled rows of October to December, and their labels."""
    import pyarrow.parquet as pq

    from components.artifacts import HELDOUT

    return labelled(pq.read_table(examples / HELDOUT))


def labelled(table: Any) -> tuple[RawBatch, np.ndarray]:
    import pyarrow.compute as pc

    data = load(MODEL).data
    kept = table.filter(pc.is_valid(table[data.label]))
    return dense(kept, data, tuple(data.columns)), np.asarray(kept[data.label])


def run_peer(work: Path, examples: Path, seeds: int) -> Peer:
    """Trains gradient boosting on all labelled rows that are not held out, once a seed."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    data = load(MODEL).data
    test, test_labels = heldout(examples)
    assert data.time is not None
    train, train_labels = training_rows(work, data.time, int(test[data.time].min()))
    inputs, is_category = peer_columns(train, test, data)
    aucs, seconds = [], []
    for seed in range(seeds):
        peer = HistGradientBoostingClassifier(max_iter=300, categorical_features=is_category, random_state=seed)
        start_s = time.perf_counter()
        peer.fit(inputs[: len(train_labels)], train_labels)
        seconds.append(time.perf_counter() - start_s)
        aucs.append(roc_auc_score(test_labels, peer.predict_proba(inputs[len(train_labels) :])[:, 1]))
    return Peer(aucs, seconds)


def training_rows(work: Path, time_column: str, until_s: int) -> tuple[RawBatch, np.ndarray]:
    """The labelled rows of all partitions before the held-out ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((work / "data" / "flights" / "partitions").glob("*/rows.parquet"))
    rows, labels = labelled(pa.concat_tables([pq.read_table(path) for path in files]))
    before = rows[time_column] < until_s
    return {name: values[before] for name, values in rows.items()}, labels[before]


def peer_columns(train: RawBatch, test: RawBatch, data: Data) -> tuple[np.ndarray, list[bool]]:
    """All raw columns as numbers, training rows first, and which of them are categories."""
    columns, is_category = [], []
    for name, declared in data.columns.items():
        if name == data.label or name in data.key:
            continue
        values = np.concatenate([train[name], test[name]])
        if declared.type == "timestamp":
            columns += [values // DAY_S % 7, values % DAY_S // 60]
            is_category += [False, False]
        elif declared.type == "string":
            distinct, codes = np.unique(values.astype(str), return_inverse=True)
            columns.append(np.where(values == "", np.nan, codes))
            is_category.append(len(distinct) <= MOST_CATEGORIES)
        else:
            columns.append(np.where(values == MISSING_INTEGER, np.nan, values.astype(np.float64)))
            is_category.append(False)
    return np.stack(columns, axis=1), is_category


def report(ours: Ours, peer: Peer) -> bool:
    """Prints the table; returns whether the claim holds."""
    console = Console()
    quality = Table("", "AUC, mean", "AUC of each seed", "training, s", title="October to December")
    for name, aucs, seconds in (("ours", ours.auc, ours.seconds), ("peer", peer.auc, peer.seconds)):
        each = " ".join(f"{auc:.4f}" for auc in aucs)
        quality.add_row(name, f"{np.mean(aucs):.4f}", each, f"{np.mean(seconds):.1f}")
    console.print(quality)
    best = ", ".join(f"epoch {epoch} ({auc:.4f})" for epoch, auc in zip(ours.epochs, ours.validation))
    console.print(f"best on the validation days: {best}")
    return float(np.mean(ours.auc)) >= float(np.mean(peer.auc))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds are averaged")
    parser.add_argument("--work", type=Path, help="folder to work in, empty at first; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).absolute()
        flights = Flights(work)
        examples = flights.examples("quality", ALL_MONTHS, f"preprocess.heldout_days={HELDOUT_DAYS}")
        holds = report(run_ours(flights, examples, arguments.seeds), run_peer(work, examples, arguments.seeds))
    print("the claim holds" if holds else "the claim does not hold")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
