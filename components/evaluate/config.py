"""The section `evaluate` of model.yaml."""

from typing import Literal, get_args

from pydantic import Field

from components.evaluate.metrics import BY_TASK, HIGHER_IS_BETTER
from components.features.columns import Data
from components.schema import Section

Metric = Literal["auc", "log_loss", "accuracy", "rmse", "mae"]
SLICE_TYPES = ("string", "integer", "boolean")


class Limits(Section):
    """What a variant may cost at most."""

    latency_p99_ms: float | None = Field(
        None, gt=0, description="99th percentile of one row's prediction, raw columns in, in milliseconds; null: none"
    )
    size_bytes: int | None = Field(None, gt=0, description="size of model.tflite in bytes; null: none")


class Evaluate(Section):
    """When a model is good enough for service, and which of its variants is taken."""

    metric: Metric | None = Field(
        None, description="what quality means; null: auc for binary, accuracy for multiclass, rmse for regression"
    )
    min_quality: float | None = Field(
        None,
        ge=0,
        le=1,
        description="smallest auc or accuracy that is blessed; null: better than the best constant prediction",
    )
    max_error: float | None = Field(
        None,
        gt=0,
        description="largest log_loss, rmse or mae that is blessed; null: better than the best constant prediction",
    )
    max_loss: float = Field(
        0.005,
        ge=0,
        description="how much worse than the version in service, on the same rows, a variant may be: "
        "a difference for auc and accuracy, a share (0.005 is 0.5 %) for log_loss, rmse and mae",
    )
    max_variant_loss: float = Field(
        0.003, ge=0, description="how much worse than the float32 variant another variant may be; as max_loss"
    )
    objective: Literal["size", "latency"] = Field(
        "size", description="what the chosen variant has least of: bytes, or time for one row (median)"
    )
    limits: Limits = Field(default_factory=Limits, description="what a variant may cost at most")
    slices: tuple[str, ...] = Field((), description="columns for whose most frequent values quality is told apart")
    min_slice_rows: int = Field(200, ge=1, description="held-out rows below which a value is no slice of its own")


class EvaluateConfig(Section):
    """What evaluate reads."""

    data: Data
    evaluate: Evaluate


def metric_of(evaluate: Evaluate, data: Data) -> str:
    """The metric that decides: the configured one, or the task's own."""
    return evaluate.metric or BY_TASK[data.task][0]


def check_evaluate(evaluate: Evaluate, data: Data) -> None:
    """Refuses what does not fit the task or the columns.

    Raises:
        ValueError: names the key, the value and the values allowed.
    """
    metric = metric_of(evaluate, data)
    allowed = [name for name in get_args(Metric) if name in BY_TASK[data.task]]
    if metric not in allowed:
        raise ValueError(f"evaluate.metric is {metric}; for {data.task} it must be {' or '.join(allowed)}")
    if evaluate.min_quality is not None and not HIGHER_IS_BETTER[metric]:
        raise ValueError(f"evaluate.min_quality does not fit {metric}, which is better when lower; use max_error")
    if evaluate.max_error is not None and HIGHER_IS_BETTER[metric]:
        raise ValueError(f"evaluate.max_error does not fit {metric}, which is better when higher; use min_quality")
    for column in evaluate.slices:
        _check_slice(column, data)


def _check_slice(column: str, data: Data) -> None:
    if column not in data.columns:
        raise ValueError(f"evaluate.slices names {column}, which is not in data.columns; declare it there")
    if column == data.label:
        raise ValueError(f"evaluate.slices names {column}, which is the label; name columns that are known beforehand")
    kind = data.columns[column].type
    if kind not in SLICE_TYPES:
        raise ValueError(f"evaluate.slices names {column}, of type {kind}; it must be {' or '.join(SLICE_TYPES)}")
