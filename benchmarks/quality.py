"""AUC of models/flights beside scikit-learn's gradient boosting, and what each variant of the model costs in AUC.

    python benchmarks/quality.py [--seeds 3] [--work DIR]

Trained on January to September, tested on October to December 2013; the mean of several seeds. Claims: our AUC is not
below that of `HistGradientBoostingClassifier` (300 iterations) on the same raw columns and rows; float16 and dynamic
are within 0.0005 AUC of float32, int8 within 0.003.

Ours goes through the steps themselves: ingest, preprocess, train, compress, and the predictor on the held-out raw rows.
The last days of the training months choose its best epoch, so it learns from fewer rows than its peer. The peer gets
every raw column: times as day of the week and minute of the day, strings with at most 255 values as declared
categories, others as ordinal codes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from components.config import load  # noqa: E402
from components.features.arrow import dense  # noqa: E402
from components.features.columns import MISSING_INTEGER, Data, RawBatch  # noqa: E402
from components.schema import parse  # noqa: E402

MODEL = ROOT / "models" / "flights"
HELDOUT_DAYS = 92
"""October to December."""
MOST_CATEGORIES = 255
MAX_LOSS = {"float32": 0.0, "float16": 0.0005, "dynamic": 0.0005, "int8": 0.003}
DAY_S = 86_400
LATENCY_CALLS = 5000


@dataclass
class Ours:
    """What the pipeline's steps gave, one entry a seed."""

    validation: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    auc: dict[str, list[float]] = field(default_factory=dict)
    """By recipe."""
    bytes: dict[str, int] = field(default_factory=dict)
    raw_us: dict[str, float] = field(default_factory=dict)
    """From one raw row to its prediction, median."""
    model_us: dict[str, float] = field(default_factory=dict)
    """The LiteRT model's part of it."""


@dataclass(frozen=True)
class Peer:
    """What scikit-learn gave, one entry a seed."""

    auc: list[float]
    seconds: list[float]


def prepare(work: Path) -> Path:
    """Lays out the flights, ingests and preprocesses them; returns the examples."""
    from components.ingest.config import IngestConfig
    from components.ingest.ingest import ingest
    from components.preprocess.config import PreprocessConfig
    from components.preprocess.preprocess import preprocess

    subprocess.run([sys.executable, str(MODEL / "data.py"), str(work / "source" / "flights")], check=True)
    config = load(MODEL, (f"preprocess.heldout_days={HELDOUT_DAYS}",))
    snapshot = ingest(parse(IngestConfig, config.for_step("ingest")), work, "flights", "")
    examples = work / "examples"
    preprocess(snapshot, work / "empty", parse(PreprocessConfig, config.for_step("preprocess")), work, examples)
    return examples


def run_ours(examples: Path, seeds: int, work: Path) -> Ours:
    """Trains, compresses and scores once a seed."""
    ours = Ours()
    for seed in range(seeds):
        variants = train_and_compress(examples, seed, work, ours)
        score_variants(variants, examples, ours)
    return ours


def train_and_compress(examples: Path, seed: int, work: Path, ours: Ours) -> dict[str, Path]:
    """One model and its variants by recipe."""
    from components.artifacts import TRAINING, read_json
    from components.compress.compress import compress
    from components.compress.config import Recipe
    from components.train.config import TrainConfig
    from components.train.train import train

    config = load(MODEL, (f"train.seed={seed}",))
    model, variants = work / f"model-{seed}", {}
    start_s = time.perf_counter()
    train(examples, work / "empty", parse(TrainConfig, config.for_step("train")), work, model)
    ours.seconds.append(time.perf_counter() - start_s)
    training = read_json(model / TRAINING)
    ours.epochs.append(training["best_epoch"])
    ours.validation.append(training["history"][training["best_epoch"] - 1]["validation_metric"])
    for recipe in config.compress.recipes:
        variants[recipe] = work / f"variant-{seed}-{recipe}"
        compress(model, examples, Recipe(name=recipe), work, variants[recipe])
    return variants


def score_variants(variants: dict[str, Path], examples: Path, ours: Ours) -> None:
    """AUC on the held-out raw rows, size and latency of each variant."""
    from sklearn.metrics import roc_auc_score

    from components.artifacts import LITERT_MODEL, SERVING
    from components.evaluate.latency import measure
    from components.predictor.predictor import Predictor

    rows, labels = heldout(examples)
    predictors = {recipe: Predictor.load(folder / SERVING) for recipe, folder in variants.items()}
    needed = {name: rows[name] for name in next(iter(predictors.values())).source_columns}
    for (recipe, predictor), speed in zip(predictors.items(), measure(list(predictors.values()), needed)):
        ours.auc.setdefault(recipe, []).append(roc_auc_score(labels, predictor.predict(needed)))
        ours.bytes[recipe] = (variants[recipe] / SERVING / LITERT_MODEL).stat().st_size
        ours.raw_us[recipe] = speed.latency_p50_us
        ours.model_us[recipe] = model_latency_us(predictor, needed)


def model_latency_us(predictor, rows: RawBatch) -> float:
    """Median time of the model on one transformed row."""
    floats, ids = predictor.transform({name: values[:1] for name, values in rows.items()})
    times_ns = []
    for _ in range(LATENCY_CALLS):
        start_ns = time.perf_counter_ns()
        predictor.predict_transformed(floats, ids)
        times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1e3


def heldout(examples: Path) -> tuple[RawBatch, np.ndarray]:
    """The labelled rows of October to December, and their labels."""
    import pyarrow.parquet as pq

    from components.artifacts import HELDOUT

    return labelled(pq.read_table(examples / HELDOUT))


def labelled(table) -> tuple[RawBatch, np.ndarray]:
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
    train, train_labels = training_rows(work, int(test[data.time].min()))
    inputs, is_category = peer_columns(train, test, data)
    aucs, seconds = [], []
    for seed in range(seeds):
        peer = HistGradientBoostingClassifier(max_iter=300, categorical_features=is_category, random_state=seed)
        start_s = time.perf_counter()
        peer.fit(inputs[: len(train_labels)], train_labels)
        seconds.append(time.perf_counter() - start_s)
        aucs.append(roc_auc_score(test_labels, peer.predict_proba(inputs[len(train_labels) :])[:, 1]))
    return Peer(aucs, seconds)


def training_rows(work: Path, until_s: int) -> tuple[RawBatch, np.ndarray]:
    """The labelled rows of all partitions before the held-out ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((work / "data" / "flights" / "partitions").glob("*/rows.parquet"))
    rows, labels = labelled(pa.concat_tables([pq.read_table(path) for path in files]))
    before = rows[load(MODEL).data.time] < until_s
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
    """Prints both tables; returns whether every claim holds."""
    console = Console()
    quality = Table("", "AUC, mean", "AUC of each seed", "training, s", title="October to December")
    for name, aucs, seconds in (("ours", ours.auc["float32"], ours.seconds), ("peer", peer.auc, peer.seconds)):
        each = " ".join(f"{auc:.4f}" for auc in aucs)
        quality.add_row(name, f"{np.mean(aucs):.4f}", each, f"{np.mean(seconds):.1f}")
    console.print(quality)
    best = ", ".join(f"epoch {epoch} ({auc:.4f})" for epoch, auc in zip(ours.epochs, ours.validation))
    console.print(f"best on the validation days: {best}")
    costs = Table(
        "variant", "AUC - float32, mean", "most lost", "limit", "KiB", "1 row, us", "of it model", title="variants"
    )
    worst = {}
    for recipe, aucs in ours.auc.items():
        differences = np.subtract(aucs, ours.auc["float32"])
        worst[recipe] = max(0.0, -differences.min())
        figures = [f"{differences.mean():+.5f}", f"{worst[recipe]:.5f}", f"{MAX_LOSS[recipe]}"]
        latency = [f"{ours.raw_us[recipe]:.1f}", f"{ours.model_us[recipe]:.1f}"]
        costs.add_row(recipe, *figures, f"{ours.bytes[recipe] / 1024:.0f}", *latency)
    console.print(costs)
    is_close = all(worst[recipe] <= MAX_LOSS[recipe] for recipe in worst)
    return is_close and float(np.mean(ours.auc["float32"])) >= float(np.mean(peer.auc))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds are averaged")
    parser.add_argument("--work", type=Path, help="folder to work in, empty at first; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).absolute()
        examples = prepare(work)
        holds = report(run_ours(examples, arguments.seeds, work), run_peer(work, examples, arguments.seeds))
    print("every claim holds" if holds else "a claim does not hold")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
