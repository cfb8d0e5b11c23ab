"""Scores every variant as it will be served, and takes the cheapest that is good enough."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components import artifacts
from components.evaluate.choose import best, choose, reason
from components.evaluate.config import FLOAT32, Evaluate, EvaluateConfig, metric_of
from components.evaluate.failures import Reference, failures
from components.evaluate.measure import measure, metrics_of
from components.evaluate.metrics import HIGHER_IS_BETTER, calibration, of_constant
from components.evaluate.scoring import Scores, first_rows, score
from components.evaluate.service import InService, in_service
from components.evaluate.skew import check_skew
from components.evaluate.slices import Slice, find_slices, left_out, slice_rows
from components.evaluate.variant import NotMade, Variant
from components.predictor.predictor import Predictor
from components.storage.address import Address
from components.store import on_disk

Decision = Literal["blessed", "refused"]
KEPT_PREDICTIONS = 2048


def evaluate(
    variants: list[Path],
    examples: Path,
    serving: Address,
    config: EvaluateConfig,
    work: Address,
    chosen: Path,
    log_metric: Callable[[str, float], Any] | None = None,
) -> Decision:
    """Judges the variants on held-out rows and copies the chosen one.

    Reads `examples/heldout.parquet` and `examples/heldout_expected.npz`. Writes to `chosen` the variant taken and
    `heldout_predictions.npy`, if one passes, and in any case `evaluation.json`: {decision, reason, metric,
    higher_is_better, rows, unlabelled, chosen, described, objective, limits, variants, serving,
    constant, base_rate, calibration, slices, slices_left_out, skew}. `variants` are as
    `Variant.row` gives them, and `NotMade.row` those of which compress says that they could not be made. `described` is
    the variant that calibration and slices are about: the chosen one, or the best where none passes, or null where none
    could be made. `constant` is the metric of the best constant prediction.

    Args:
        variants: one artifact of compress for each recipe.
        examples: the artifact of preprocess.
        serving: the version in service, or the permanent empty folder; an address in a bucket is fetched.
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
        not_made = _not_made(variants)
        made = [folder for folder in variants if folder not in not_made]
        predictors = [Predictor.load(folder / artifacts.SERVING) for folder in made]
        service = in_service(on_disk(serving), config.data)
        compared = [service.predictor] if service and service.predictor else []
        heldout = examples / artifacts.HELDOUT
        scores = score([*predictors, *compared], heldout, config.data, config.evaluate.slices)
        skew = _skew(predictors, examples)
        parts = find_slices(scores, metric_of(config.evaluate, config.data), config.evaluate.min_slice_rows)
        measured = dict(zip(made, measure(made, predictors, scores, parts, heldout, config)))
        service_record = _in_service(service, scores, len(made), config.data.task)
        tried = [not_made.get(folder) or measured[folder] for folder in variants]
        details.update(_evaluation(tried, scores, parts, service_record, config), skew=skew)
        taken = [pair for pair in zip(made, predictors) if pair[1].recipe == details["chosen"]]
        predictions = _first_predictions(taken[0][1], heldout, config) if taken else None
        _write(chosen, taken[0][0] if taken else None, predictions, details)
        if log_metric is not None:
            for name, value in kfp_metrics(details).items():
                log_metric(name, value)
        decision: Decision = details["decision"]
        return decision


def kfp_metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """What the KFP UI shows of an evaluation: metrics, size and latency of the chosen (or best) variant."""
    if evaluation["described"] is None:
        return {}
    variant = next(part for part in evaluation["variants"] if part["recipe"] == evaluation["described"])
    figures = {name: variant[name] for name in ("bytes", "latency_p50_us", "latency_p99_us", "rows_per_s")}
    figures["cost_per_million"] = variant["cost_per_million"]
    serving = evaluation["serving"]["metrics"] if evaluation["serving"] else {}
    return {**variant["metrics"], **figures, **{f"serving_{name}": value for name, value in serving.items()}}


def _not_made(folders: Sequence[Path]) -> dict[Path, NotMade]:
    told = {folder: artifacts.read_json(folder / artifacts.VARIANT) for folder in folders}
    return {folder: NotMade(one["recipe"], one["error"]) for folder, one in told.items() if one.get("error")}


def _skew(predictors: Sequence[Predictor], examples: Path) -> dict[str, float] | None:
    found = [check_skew(predictor.transform, examples) for predictor in predictors]
    return max(found, key=lambda skew: skew["largest_difference"], default=None)


def _evaluation(
    tried: Sequence[Variant | NotMade],
    scores: Scores,
    parts: Sequence[Slice],
    serving: dict[str, Any] | None,
    config: EvaluateConfig,
) -> dict[str, Any]:
    metric = metric_of(config.evaluate, config.data)
    measured = [variant for variant in tried if isinstance(variant, Variant)]
    reference = _reference(tried, serving, metric, scores.labels)
    taken = _judge(measured, reference, metric, config.evaluate)
    described = taken or best(measured, metric)
    index = None if described is None else measured.index(described)
    in_service = None if reference.serving is None else len(measured)
    return {
        **_decision(tried, taken, serving, metric, config.evaluate),
        "described": None if described is None else described.recipe,
        "rows": len(scores.labels),
        "unlabelled": scores.unlabelled,
        "constant": reference.constant,
        **({"base_rate": float(scores.labels.mean())} if config.data.task == "binary" else {}),
        **_description(scores, parts, index, in_service, metric, config.data.task),
    }


def _in_service(service: InService | None, scores: Scores, variants: int, task: str) -> dict[str, Any] | None:
    """What the evaluation says of the version in service; its predictions come after the variants'."""
    if service is None:
        return None
    metrics, why_not = {}, service.reason
    if service.predictor is not None:
        metrics = metrics_of(task, scores.labels, scores.predictions[variants])
        why_not = None if metrics else "its predictions are not finite"
    return {"version": service.version, "metrics": metrics, "not_comparable": why_not}


def _reference(
    tried: Sequence[Variant | NotMade], serving: dict[str, Any] | None, metric: str, labels: np.ndarray
) -> Reference:
    float32 = next((variant for variant in tried if variant.recipe == FLOAT32), None)
    value, missing = None, None
    if float32 is None:
        missing = "there is no float32 variant"
    elif isinstance(float32, NotMade):
        missing = "the float32 variant could not be made"
    elif not float32.metrics:
        missing = "the predictions of the float32 variant are not finite"
    else:
        value = float32.metrics[metric]
    return Reference(of_constant(metric, labels), value, serving["metrics"].get(metric) if serving else None, missing)


def _judge(measured: list[Variant], reference: Reference, metric: str, evaluate: Evaluate) -> Variant | None:
    for variant in measured:
        variant.failures = failures(variant, metric, reference, evaluate)
    return choose(measured, metric, evaluate.objective)


def _decision(
    tried: Sequence[Variant | NotMade],
    taken: Variant | None,
    serving: dict[str, Any] | None,
    metric: str,
    evaluate: Evaluate,
) -> dict[str, Any]:
    return {
        "decision": "refused" if taken is None else "blessed",
        "reason": reason(tried, taken, metric, evaluate.objective, serving),
        "metric": metric,
        "higher_is_better": HIGHER_IS_BETTER[metric],
        "chosen": None if taken is None else taken.recipe,
        "objective": evaluate.objective,
        "limits": evaluate.limits.model_dump(mode="json"),
        "variants": [variant.row() for variant in tried],
        "serving": serving,
    }


def _description(
    scores: Scores, parts: Sequence[Slice], index: int | None, in_service: int | None, metric: str, task: str
) -> dict[str, Any]:
    """Calibration and slices of one of the variants, beside the version in service; none where there is no variant."""
    if index is None or not np.isfinite(predictions := scores.predictions[index]).all():
        return {"calibration": [], "slices": [], "slices_left_out": {}}
    serving = None if in_service is None else scores.predictions[in_service]
    return {
        "calibration": calibration(scores.labels, predictions) if task == "binary" else [],
        "slices": slice_rows(parts, scores, metric, predictions, serving),
        "slices_left_out": left_out(parts, scores),
    }


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
