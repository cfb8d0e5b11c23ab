"""Scores every variant as it will be served, and takes the cheapest that is good enough."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components import artifacts
from components.evaluate.choose import Reference, Variant, best, choose, failures, reason
from components.evaluate.config import Evaluate, EvaluateConfig, metric_of
from components.evaluate.latency import MOST_ROWS, measure
from components.evaluate.metrics import HIGHER_IS_BETTER, calibration, compute, of_constant
from components.evaluate.scoring import Scores, first_rows, score
from components.evaluate.service import InService, in_service
from components.evaluate.skew import check_skew
from components.evaluate.slices import slices
from components.features.instances import to_instances
from components.features.rows import values_of
from components.predictor.predictor import Predictor

Decision = Literal["blessed", "refused"]
KEPT_PREDICTIONS = 2048


def evaluate(
    variants: list[Path],
    examples: Path,
    serving: Path,
    config: EvaluateConfig,
    work: Path,
    chosen: Path,
    log_metric: Callable[[str, float], Any] | None = None,
) -> Decision:
    """Judges the variants on held-out rows and copies the chosen one.

    Reads `examples/heldout.parquet` and `examples/heldout_expected.npz`. Writes to `chosen` the variant taken and
    `heldout_predictions.npy`, if one passes, and in any case `evaluation.json`: {decision, reason, metric,
    higher_is_better, rows, unlabelled, chosen, described, objective, variants, serving, constant, base_rate,
    calibration, slices, slices_left_out, skew}. `described` is the variant that calibration and slices are about: the
    chosen one, or the best where none passes. `constant` is the metric of the best constant prediction.

    Args:
        variants: one artifact of compress for each recipe.
        examples: the artifact of preprocess.
        serving: the version in service, or the permanent empty folder.
        config: columns, task and limits.
        work: the work directory.
        chosen: folder to write; must not exist or be empty.
        log_metric: told the name and value of each of `kfp_metrics`.

    Returns:
        "blessed" if a variant passes, otherwise "refused".

    Raises:
        UserError: a damaged artifact, no held-out rows, held-out rows of one class, or features that are computed
            differently in serving than in training.
    """
    with artifacts.recorded("evaluate", work, [*variants, examples], chosen) as details:
        predictors = [Predictor.load(folder / artifacts.SERVING) for folder in variants]
        service = in_service(serving, config.data)
        compared = [service.predictor] if service and service.predictor else []
        heldout = examples / artifacts.HELDOUT
        scores = score([*predictors, *compared], heldout, config.data, config.evaluate.slices)
        skew = _skew(predictors, examples)
        measured = _measure(variants, predictors, scores, heldout, config)
        service_record = _in_service(service, scores, len(variants), config.data.task)
        details.update(_evaluation(measured, scores, service_record, config), skew=skew)
        taken = [pair for pair in zip(variants, predictors) if pair[1].recipe == details["chosen"]]
        predictions = _first_predictions(taken[0][1], heldout, config) if taken else None
        _write(chosen, taken[0][0] if taken else None, predictions, details)
        if log_metric is not None:
            for name, value in kfp_metrics(details).items():
                log_metric(name, value)
        decision: Decision = details["decision"]
        return decision


def kfp_metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """What the KFP UI shows of an evaluation: metrics, size and latency of the chosen (or best) variant."""
    variant = next(part for part in evaluation["variants"] if part["recipe"] == evaluation["described"])
    figures = {name: variant[name] for name in ("bytes", "latency_p50_us", "latency_p99_us", "rows_per_s")}
    serving = evaluation["serving"]["metrics"] if evaluation["serving"] else {}
    return {**variant["metrics"], **figures, **{f"serving_{name}": value for name, value in serving.items()}}


def _skew(predictors: Sequence[Predictor], examples: Path) -> dict[str, float]:
    found = [check_skew(predictor.transform, examples) for predictor in predictors]
    return max(found, key=lambda skew: skew["largest_difference"])


def _measure(
    folders: Sequence[Path], predictors: Sequence[Predictor], scores: Scores, heldout: Path, config: EvaluateConfig
) -> list[Variant]:
    columns = predictors[0].source_columns  # of all of them: they share the transform
    instances = to_instances(first_rows(heldout, config.data, columns, MOST_ROWS), config.data)
    speeds = measure(predictors, list(zip(*values_of(instances, config.data, columns))))
    return [
        Variant(
            predictor.recipe,
            (folder / artifacts.SERVING / artifacts.LITERT_MODEL).stat().st_size,
            sum(path.stat().st_size for path in (folder / artifacts.SERVING).rglob("*") if path.is_file()),
            _metrics(config.data.task, scores.labels, predictions),
            speed,
        )
        for folder, predictor, predictions, speed in zip(folders, predictors, scores.predictions, speeds)
    ]


def _metrics(task: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    return compute(task, labels, predictions) if np.isfinite(predictions).all() else {}


def _evaluation(
    measured: list[Variant], scores: Scores, serving: dict[str, Any] | None, config: EvaluateConfig
) -> dict[str, Any]:
    metric = metric_of(config.evaluate, config.data)
    reference = _reference(measured, serving, metric, scores.labels)
    taken = _judge(measured, reference, metric, config.evaluate)
    described = measured.index(taken or best(measured, metric))
    in_service = None if reference.serving is None else len(measured)
    return {
        **_decision(measured, taken, serving, metric, config.evaluate.objective),
        "rows": len(scores.labels),
        "unlabelled": scores.unlabelled,
        "constant": reference.constant,
        **({"base_rate": float(scores.labels.mean())} if config.data.task == "binary" else {}),
        **_description(scores, described, in_service, metric, config),
    }


def _in_service(service: InService | None, scores: Scores, variants: int, task: str) -> dict[str, Any] | None:
    """What the evaluation says of the version in service; its predictions come after the variants'."""
    if service is None:
        return None
    metrics, why_not = {}, service.reason
    if service.predictor is not None:
        metrics = _metrics(task, scores.labels, scores.predictions[variants])
        why_not = None if metrics else "its predictions are not finite"
    return {"version": service.version, "metrics": metrics, "not_comparable": why_not}


def _reference(measured: list[Variant], serving: dict[str, Any] | None, metric: str, labels: np.ndarray) -> Reference:
    return Reference(
        constant=of_constant(metric, labels),
        variant=next((variant.metrics.get(metric) for variant in measured if variant.recipe == "float32"), None),
        serving=serving["metrics"].get(metric) if serving else None,
    )


def _judge(measured: list[Variant], reference: Reference, metric: str, evaluate: Evaluate) -> Variant | None:
    for variant in measured:
        variant.failures = failures(variant, metric, reference, evaluate)
    return choose(measured, metric, evaluate.objective)


def _decision(
    measured: list[Variant], taken: Variant | None, serving: dict[str, Any] | None, metric: str, objective: str
) -> dict[str, Any]:
    return {
        "decision": "refused" if taken is None else "blessed",
        "reason": reason(measured, taken, metric, objective, serving),
        "metric": metric,
        "higher_is_better": HIGHER_IS_BETTER[metric],
        "chosen": None if taken is None else taken.recipe,
        "described": (taken or best(measured, metric)).recipe,
        "objective": objective,
        "variants": [_row(variant) for variant in measured],
        "serving": serving,
    }


def _row(variant: Variant) -> dict[str, Any]:
    row = asdict(variant)
    speed = row.pop("speed")
    return {**row, **speed, "passed": not variant.failures}


def _description(
    scores: Scores, index: int, in_service: int | None, metric: str, config: EvaluateConfig
) -> dict[str, Any]:
    """Calibration and slices of one of the variants, beside the version in service."""
    predictions = scores.predictions[index]
    if not np.isfinite(predictions).all():
        return {"calibration": [], "slices": [], "slices_left_out": {}}
    serving = None if in_service is None else scores.predictions[in_service]
    task = config.data.task
    told, left_out = slices(scores, task, metric, predictions, serving, config.evaluate.min_slice_rows)
    bins = calibration(scores.labels, predictions) if task == "binary" else []
    return {"calibration": bins, "slices": told, "slices_left_out": left_out}


def _first_predictions(predictor: Predictor, heldout: Path, config: EvaluateConfig) -> np.ndarray:
    """What the server must answer to the first held-out rows; rehearse asks it."""
    return predictor.predict(first_rows(heldout, config.data, predictor.source_columns, KEPT_PREDICTIONS))


def _write(chosen: Path, variant: Path | None, predictions: np.ndarray | None, evaluation: dict[str, Any]) -> None:
    with artifacts.atomic_folder(chosen) as folder:
        if variant is not None:
            shutil.copytree(variant, folder, dirs_exist_ok=True)
        if predictions is not None:
            np.save(folder / artifacts.HELDOUT_PREDICTIONS, predictions)
        artifacts.write_json(folder / artifacts.EVALUATION, evaluation)
