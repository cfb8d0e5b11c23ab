"""Measures all variants: size, memory, speed, quality, and loss against float32."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.evaluate import latency
from components.evaluate.bootstrap import Loss, losses
from components.evaluate.config import FLOAT32, EvaluateConfig, metric_of
from components.evaluate.memory import memory_bytes
from components.evaluate.metrics import compute
from components.evaluate.scoring import Scores, first_rows
from components.evaluate.slices import Slice
from components.evaluate.variant import Making, Size, SliceLoss, Variant
from components.features.instances import to_instances
from components.features.rows import values_of
from components.predictor.predictor import Predictor

GZIP_LEVEL = 6
S_PER_HOUR = 3600


def measure(
    folders: Sequence[Path],
    predictors: Sequence[Predictor],
    scores: Scores,
    parts: Sequence[Slice],
    heldout: Path,
    config: EvaluateConfig,
) -> list[Variant]:
    """Measures each variant; its failures are still empty.

    Args:
        folders: the variants' artifacts.
        predictors: of the same variants.
        scores: their predictions come first.
        parts: the slices on which loss is told apart.
        heldout: Parquet file whose first rows time and memory are measured with.
        config: columns, task and price.
    """
    if not folders:
        return []
    columns = predictors[0].source_columns  # of all of them: they share the transform
    instances = to_instances(first_rows(heldout, config.data, columns, latency.MOST_ROWS), config.data)
    speeds = latency.measure(predictors, list(zip(*values_of(instances, config.data, columns))))
    variants = [
        Variant(
            predictor.recipe,
            _size(folder / artifacts.SERVING, instances),
            speed,
            1e6 / speed.rows_per_s / S_PER_HOUR * config.evaluate.core_hour,
            metrics_of(config.data.task, scores.labels, predictions),
            _making(folder / artifacts.VARIANT),
        )
        for folder, predictor, predictions, speed in zip(folders, predictors, scores.predictions, speeds)
    ]
    _add_losses(variants, scores, parts, metric_of(config.evaluate, config.data))
    return variants


def metrics_of(task: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """All metrics of a task; none where a prediction is not finite."""
    return compute(task, labels, predictions) if np.isfinite(predictions).all() else {}


def _size(serving: Path, instances: list[dict[str, Any]]) -> Size:
    content = (serving / artifacts.LITERT_MODEL).read_bytes()
    return Size(
        len(content),
        len(gzip.compress(content, GZIP_LEVEL)),
        sum(path.stat().st_size for path in serving.rglob("*") if path.is_file()),
        memory_bytes(serving, instances),
    )


def _making(path: Path) -> Making:
    told = artifacts.read_json(path)
    return Making(told.get("sparsity"), told.get("parameters"), told.get("made"), told.get("notes", []))


def _add_losses(variants: list[Variant], scores: Scores, parts: Sequence[Slice], metric: str) -> None:
    finite = [index for index, variant in enumerate(variants) if variant.metrics]
    reference = next((index for index in finite if variants[index].recipe == FLOAT32), None)
    others = [index for index in finite if index != reference]
    if reference is None or not others:
        return

    def lost(rows: np.ndarray | slice) -> list[Loss]:
        predictions = [scores.predictions[index][rows] for index in others]
        return losses(metric, scores.labels[rows], predictions, scores.predictions[reference][rows])

    overall, by_part = lost(slice(None)), [lost(part.indexes) for part in parts]
    for place, index in enumerate(others):
        variants[index].loss = overall[place]
        variants[index].slice_losses = tuple(
            SliceLoss(part.column, part.value, len(part.indexes), of_part[place])
            for part, of_part in zip(parts, by_part)
        )
