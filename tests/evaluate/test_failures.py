"""Every check that a variant can fail, the sentence it gets, and by how much it says it fails."""

import pytest

from components.evaluate.bootstrap import Loss
from components.evaluate.config import Evaluate
from components.evaluate.failures import Reference, failures, shown
from components.evaluate.latency import Speed
from components.evaluate.variant import Size, SliceLoss, Variant

NO_REFERENCE = Reference(constant=0.5, variant=None, serving=None)
FLOAT32 = Reference(constant=0.5, variant=0.7, serving=None)


def variant(memory: int | None = 9_000_000, **metrics: float) -> Variant:
    size, speed = Size(120_000, 90_000, 200_000, memory), Speed(10.0, 250.0, 1e5)
    return Variant("int8", size, speed, 0.002, metrics or {"auc": 0.7})


def part(value: str, lost: Loss) -> SliceLoss:
    return SliceLoss("carrier", value, 1416, lost)


def judged(of: Variant, reference: Reference = NO_REFERENCE, **section) -> list[str]:
    return failures(of, next(iter(of.metrics)), reference, Evaluate.model_validate(section))


def test_nothing_fails_by_default():
    assert judged(variant()) == []


def test_no_better_than_a_constant_fails_without_a_threshold():
    (sentence,) = judged(variant(auc=0.5))
    assert sentence == "auc 0.5000 is no better than the 0.5000 of the best constant prediction"
    assert judged(variant(auc=0.5), min_quality=0.4) == []


def test_thresholds_say_by_how_much():
    (low,) = judged(variant(auc=0.7), min_quality=0.75)
    assert low == "auc 0.7000 is below evaluate.min_quality 0.75 by 0.0500"
    (high,) = judged(variant(rmse=12.0), Reference(constant=20.0, variant=None, serving=None), max_error=10)
    assert high == "rmse 12 is above evaluate.max_error 10 by 2.0000"


@pytest.mark.parametrize("value, fails", [(0.6951, False), (0.6939, True)])
def test_the_loss_of_auc_against_the_version_in_service_is_a_difference(value, fails):
    found = judged(variant(auc=value), Reference(constant=0.5, variant=None, serving=0.7), max_loss=0.005)
    said = (
        "auc 0.6939 is 0.0061 worse than the 0.7000 of the version in service, more than evaluate.max_loss 0.005 "
        "by 0.0011"
    )
    assert found == ([said] if fails else [])


@pytest.mark.parametrize("high, fails", [(0.003, False), (0.0042, True)])
def test_the_loss_against_float32_is_judged_at_its_upper_end(high, fails):
    one = variant(auc=0.698)
    one.loss = Loss(0.002, -0.0005, high)
    said = (
        "auc 0.6980 is 0.0020 worse than the 0.7000 of the float32 variant, and the 95 % interval of the loss, "
        "-0.0005 to 0.0042, ends above evaluate.limits.loss 0.003 by 0.0012: too few rows to tell; hold out more rows, "
        "or raise the limit"
    )
    assert judged(one, FLOAT32) == ([said] if fails else [])


def test_a_gain_that_is_not_sure_fails_too_and_is_called_one():
    one = variant(auc=0.701)
    one.loss = Loss(-0.001, -0.01, 0.008)
    (sentence,) = judged(one, FLOAT32)
    assert "is 0.0010 better than the 0.7000 of the float32 variant" in sentence


def test_the_loss_of_an_error_is_a_share():
    one = variant(rmse=10.06)
    one.loss = Loss(0.006, 0.004, 0.008)
    (sentence,) = judged(one, Reference(constant=20.0, variant=10.0, serving=None), limits={"loss": 0.005})
    assert sentence == (
        "rmse 10.06 is 0.60% worse than the 10 of the float32 variant, and the 95 % interval of the loss, "
        "0.40% to 0.80%, ends above evaluate.limits.loss 0.005 by 0.30%: too few rows to tell; hold out more rows, "
        "or raise the limit"
    )


def test_a_loss_that_is_surely_too_large_has_no_other_remedy():
    one = variant(auc=0.68)
    one.loss = Loss(0.02, 0.014, 0.026)
    (sentence,) = judged(one, FLOAT32)
    assert sentence.endswith("of the loss, 0.0140 to 0.0260, lies above evaluate.limits.loss 0.003 by 0.0110")


def test_of_slices_the_one_that_surely_loses_too_much_is_told():
    one = variant(auc=0.7)
    one.slice_losses = (part("AA", Loss(0.04, 0.03, 0.05)), part("VX", Loss(0.008, -0.01, 0.06)))
    (sentence,) = judged(one, FLOAT32)
    assert sentence.startswith("auc where carrier is AA")
    assert sentence.endswith("slice_loss 0.02 by 0.0100 (and 1 other slice may lose too much)")


def test_a_loss_that_cannot_be_judged_is_no_pass():
    without = Reference(constant=0.5, variant=None, serving=None, missing="the float32 variant could not be made")
    (sentence,) = judged(variant(), without, limits={"slice_loss": None})
    assert sentence == (
        "evaluate.limits.loss cannot be judged, for the float32 variant could not be made; mend that, or set it to null"
    )
    assert judged(variant(), without, limits={"loss": None, "slice_loss": None}) == []


def test_a_slice_blocks_by_the_one_that_may_lose_most():
    one = variant(auc=0.7)
    one.loss = Loss(0.0, -0.001, 0.001)
    one.slice_losses = (part("AA", Loss(0.012, 0.01, 0.014)), part("VX", Loss(0.008, -0.01, 0.026)))
    (sentence,) = judged(one, FLOAT32)
    assert sentence == (
        "auc where carrier is VX (1,416 rows) is 0.0080 worse than that of the float32 variant, "
        "and the 95 % interval of the loss, -0.0100 to 0.0260, ends above evaluate.limits.slice_loss 0.02 by 0.0060: "
        "too few rows to tell; hold out more rows, or raise the limit or evaluate.min_slice_rows"
    )
    (sentence,) = judged(one, FLOAT32, limits={"slice_loss": 0.01})
    assert "by 0.0160 (and 1 other slice may lose too much): too few rows to tell" in sentence
    assert judged(one, FLOAT32, limits={"slice_loss": 0.03}) == []


@pytest.mark.parametrize(
    "limits, said",
    [
        (
            {"size_bytes": 100_000},
            "model.tflite has 120,000 bytes, more than evaluate.limits.size_bytes 100,000 by 20,000",
        ),
        (
            {"memory_bytes": 8_000_000},
            "it adds 9,000,000 bytes of memory, more than evaluate.limits.memory_bytes 8,000,000 by 1,000,000",
        ),
        ({"latency_p99_ms": 0.2}, "its p99 latency is 0.25 ms, more than evaluate.limits.latency_p99_ms 0.2 by 0.05"),
        ({"rows_per_s": 150_000}, "it predicts 100,000 rows/s, less than evaluate.limits.rows_per_s 150,000 by 50,000"),
        (
            {"cost_per_million": 0.0015},
            "a million predictions cost 0.002, more than evaluate.limits.cost_per_million 0.0015 by 0.0005",
        ),
    ],
)
def test_every_cost_has_its_limit(limits, said):
    assert judged(variant(), limits=limits) == [said]
    ((key, limit),) = limits.items()
    assert judged(variant(), limits={key: limit / 2 if key == "rows_per_s" else 2 * limit}) == []


def test_a_limit_on_what_could_not_be_measured_is_not_held():
    (sentence,) = judged(variant(memory=None), limits={"memory_bytes": 1})
    assert "evaluate.limits.memory_bytes cannot be judged" in sentence
    assert judged(variant(memory=None)) == []


def test_every_failed_check_has_its_sentence():
    one = variant(auc=0.7)
    one.loss, one.slice_losses = Loss(0.1, 0.09, 0.11), (part("AA", Loss(0.1, 0.09, 0.11)),)
    limits = {"size_bytes": 10, "latency_p99_ms": 0.001}
    found = judged(one, Reference(constant=0.5, variant=0.8, serving=0.8), min_quality=0.9, limits=limits)
    keys = ("min_quality", "max_loss", "limits.loss", "slice_loss", "size_bytes", "p99_ms")
    assert [key for sentence, key in zip(found, keys, strict=True) if key in sentence] == list(keys)


def test_predictions_that_are_not_finite_are_the_only_failure_told():
    one = variant()
    one.metrics = {}
    assert failures(one, "auc", FLOAT32, Evaluate()) == ["its predictions are not finite"]


@pytest.mark.parametrize("value, text", [(0.70512, "0.7051"), (0.0, "0.0000"), (1234.567, "1235"), (0.00004, "4e-05")])
def test_metrics_are_shown_with_the_digits_that_matter(value, text):
    assert shown(value) == text
