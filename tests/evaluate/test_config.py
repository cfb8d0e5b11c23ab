"""What the section `evaluate` accepts, and how it refuses the rest."""

import json

import pytest

from components.errors import UserError
from components.evaluate.config import Evaluate, Limits, check_evaluate, check_loss_limits, metric_of
from components.schema import parse


@pytest.fixture
def tasks(data) -> dict:
    number = {"x": "float", "noise": "float", "carrier": "string", "late": "float"}
    return {
        "binary": data(),
        "multiclass": data(task="multiclass", classes=[0, 1, 2]),
        "regression": data(task="regression", columns=number),
    }


@pytest.mark.parametrize("task, metric", [("binary", "auc"), ("multiclass", "accuracy"), ("regression", "rmse")])
def test_each_task_has_a_metric_and_the_defaults_fit(tasks, task, metric):
    assert metric_of(Evaluate(), tasks[task]) == metric
    check_evaluate(Evaluate(), tasks[task])


@pytest.mark.parametrize(
    "task, section, said",
    [
        ("regression", {"metric": "auc"}, "metric is auc; for regression it must be rmse or mae$"),
        ("multiclass", {"metric": "auc"}, "metric is auc; for multiclass it must be log_loss or accuracy"),
        ("binary", {"metric": "rmse"}, "metric is rmse; for binary"),
        ("binary", {"metric": "log_loss", "min_quality": 0.5}, "min_quality does not fit log_loss.*use max_error"),
        ("regression", {"min_quality": 0.5}, "min_quality does not fit rmse"),
        ("binary", {"max_error": 0.5}, "max_error does not fit auc.*use min_quality"),
        ("binary", {"slices": ["airline"]}, "slices names airline, which is not in data.columns"),
        ("binary", {"slices": ["late"]}, "slices names late, the label, and auc needs.*evaluate.metric to accuracy"),
        ("regression", {"slices": ["late"]}, "slices names late, the label, whose values are no groups; remove it$"),
        ("binary", {"slices": ["x"]}, "slices names x, of type float; it must be string or integer or boolean"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(tasks, task, section, said):
    with pytest.raises(ValueError, match=said):
        check_evaluate(parse(Evaluate, json.dumps(section)), tasks[task])


@pytest.mark.parametrize("task, section", [("multiclass", {}), ("binary", {"metric": "accuracy"})])
def test_the_label_may_be_a_slice_where_each_class_has_a_metric(tasks, task, section):
    check_evaluate(parse(Evaluate, json.dumps({"slices": ["late"], **section})), tasks[task])


@pytest.mark.parametrize(
    "limits, said",
    [
        (
            {},
            r"is int8, dynamic, without float32, .*limits\.loss and evaluate\.limits\.slice_loss are.*set both",
        ),
        ({"loss": None}, r"against which evaluate\.limits\.slice_loss is counted; add float32, or set it to null"),
        ({"slice_loss": None}, r"against which evaluate\.limits\.loss is counted; add float32, or set it to null"),
    ],
)
def test_a_limit_of_loss_needs_float32(limits, said):
    with pytest.raises(ValueError, match=said):
        check_loss_limits(parse(Limits, json.dumps(limits)), ["int8", "dynamic"])
    check_loss_limits(parse(Limits, json.dumps(limits)), ["int8", "float32"])
    check_loss_limits(Limits(loss=None, slice_loss=None), ["int8"])


@pytest.mark.parametrize(
    "section",
    [
        {"metric": "f1"},
        {"min_quality": 1.5},
        {"max_loss": -0.1},
        {"objective": "beauty"},
        {"limits": {"size": 3}},
        {"limits": {"latency_p99_ms": 0}},
        {"limits": {"loss": -0.1}},
        {"limits": {"memory_bytes": 0}},
        {"limits": {"rows_per_s": -1}},
        {"limits": {"cost_per_million": 0}},
        {"core_hour": 0},
        {"max_variant_loss": 0.1},
        {"min_slice_rows": 0},
        {"min_qualty": 0.5},
    ],
)
def test_wrong_values_are_refused(section):
    with pytest.raises(UserError, match=next(iter(section))):
        parse(Evaluate, json.dumps(section))


def test_every_limit_can_be_switched_off():
    limits = dict.fromkeys(Limits.model_fields)
    assert parse(Evaluate, json.dumps({"limits": limits})).limits.model_dump() == limits
