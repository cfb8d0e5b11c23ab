"""The section `evaluate` of model.yaml."""

from collections.abc import Collection
from typing import Literal, get_args

from pydantic import Field

from components.evaluate.metrics import BY_TASK, HIGHER_IS_BETTER
from components.features.columns import Data
from components.schema import Section

Metric = Literal["auc", "log_loss", "accuracy", "rmse", "mae"]
FLOAT32 = "float32"
"""The recipe that others are held against."""
SLICE_TYPES = ("string", "integer", "boolean")


class Limits(Section):
    """What a variant may cost, in quality and otherwise; null: no limit."""

    loss: float | None = Field(
        0.003,
        ge=0,
        description="how much worse than the float32 variant, where there is one, another may be, at the upper end of "
        "the loss's 95 % interval; counted as for max_loss",
    )
    slice_loss: float | None = Field(
        0.02, ge=0, description="the same on each of the slices, so that no small group is hurt unseen"
    )
    latency_p99_ms: float | None = Field(
        None, gt=0, description="99th percentile of one row's prediction, raw columns in, in milliseconds"
    )
    size_bytes: int | None = Field(None, gt=0, description="size of model.tflite in bytes")
    memory_bytes: int | None = Field(
        None, gt=0, description="resident memory that loading and predicting 256 rows add to a process, in bytes"
    )
    rows_per_s: float | None = Field(
        None, gt=0, description="least number of rows predicted in a second, in batches of 256, in one thread"
    )
    cost_per_million: float | None = Field(
        None, gt=0, description="price of a million predictions in batches of 256, in the currency of core_hour"
    )


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
    objective: Literal["size", "latency", "cost"] = Field(
        "size",
        description="what the chosen variant has least of: bytes of model.tflite, median time of one row, or price of "
        "a million rows in batches of 256",
    )
    core_hour: float = Field(
        0.04, gt=0, description="price of one core for an hour, in any currency; cost_per_million is counted with it"
    )
    limits: Limits = Field(default_factory=Limits, description="what a variant may cost, in quality and otherwise")
    slices: tuple[str, ...] = Field(
        (),
        description="columns for whose values quality is told apart: the 200 most frequent values of each; the label "
        "may be one, but not for auc",
    )
    min_slice_rows: int = Field(
        200,
        ge=1,
        description="held-out rows below which a value is no slice of its own; auc needs 20 of each class, too",
    )


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
        _check_slice(column, data, metric)


def check_loss_limits(limits: Limits, recipes: Collection[str]) -> None:
    """Refuses limits of a loss that could not be measured.

    Args:
        limits: `evaluate.limits`.
        recipes: the names of the variants.

    Raises:
        ValueError: a loss has a limit, and no variant is float32, against which it is counted.
    """
    keys = loss_keys(limits)
    if keys and FLOAT32 not in recipes:
        raise ValueError(
            f"compress.recipes is {', '.join(recipes)}, without float32, against which {' and '.join(keys)} "
            f"{'are' if keys[1:] else 'is'} counted; add float32, or set {'both' if keys[1:] else 'it'} to null"
        )


def loss_keys(limits: Limits) -> list[str]:
    """The limits that are counted against float32 and are not null."""
    return [f"evaluate.limits.{key}" for key in ("loss", "slice_loss") if getattr(limits, key) is not None]


def _check_slice(column: str, data: Data, metric: str) -> None:
    if column not in data.columns:
        raise ValueError(f"evaluate.slices names {column}, which is not in data.columns; declare it there")
    if column == data.label and (data.task == "regression" or metric == "auc"):
        why = "whose values are no groups" if data.task == "regression" else "and auc needs rows of both classes"
        remedy = "" if data.task == "regression" else ", or set evaluate.metric to accuracy or log_loss"
        raise ValueError(f"evaluate.slices names {column}, the label, {why}; remove it{remedy}")
    kind = data.columns[column].type
    if kind not in SLICE_TYPES:
        raise ValueError(f"evaluate.slices names {column}, of type {kind}; it must be {' or '.join(SLICE_TYPES)}")
