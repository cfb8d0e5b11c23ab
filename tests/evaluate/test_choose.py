"""Which variant is taken, and what is said about it."""

import pytest

from components.evaluate.choose import Reference, Variant, choose, failures, reason, shown
from components.evaluate.config import Evaluate
from components.evaluate.latency import Speed

NO_REFERENCE = Reference(constant=0.5, variant=None, serving=None)


def variant(recipe: str, size: int = 1000, p50_us: float = 10.0, failed: bool = False, **metrics: float) -> Variant:
    metrics = metrics or {"auc": 0.7}
    return Variant(recipe, size, size, metrics, Speed(p50_us, 2 * p50_us, 1e5), ["it failed"] if failed else [])


def test_the_smallest_is_taken():
    taken = choose([variant("float32", 4000), variant("dynamic", 1000), variant("int8", 1100)], "auc", "size")
    assert taken.recipe == "dynamic"


def test_a_failed_variant_is_not_taken():
    assert choose([variant("float32", 4000), variant("int8", 10, failed=True)], "auc", "size").recipe == "float32"
    assert choose([variant("int8", failed=True)], "auc", "size") is None


@pytest.mark.parametrize("metric, chosen", [("auc", "float32"), ("log_loss", "float16")])
def test_of_equal_sizes_the_better_is_taken(metric, chosen):
    variants = [variant("float32", auc=0.71, log_loss=0.6), variant("float16", auc=0.70, log_loss=0.5)]
    assert choose(variants, metric, "size").recipe == chosen
    assert choose(variants[::-1], metric, "size").recipe == chosen


def test_the_fastest_is_taken_unless_the_difference_is_noise():
    slow, fast, nearly = (
        variant("float32", p50_us=20),
        variant("int8", p50_us=10),
        variant("dynamic", p50_us=10.3, auc=0.71),
    )
    assert choose([slow, fast], "auc", "latency").recipe == "int8"
    assert choose([slow, fast, nearly], "auc", "latency").recipe == "dynamic"


def test_no_better_than_a_constant_fails_without_a_threshold():
    (sentence,) = failures(variant("float32", auc=0.5), "auc", NO_REFERENCE, Evaluate())
    assert sentence == "auc 0.5000 is no better than the 0.5000 of the best constant prediction"
    assert failures(variant("float32", auc=0.5), "auc", NO_REFERENCE, Evaluate(min_quality=0.4)) == []


@pytest.mark.parametrize("value, fails", [(0.6951, False), (0.6949, True)])
def test_the_loss_of_auc_is_a_difference(value, fails):
    reference = Reference(constant=0.5, variant=None, serving=0.7)
    assert bool(failures(variant("int8", auc=value), "auc", reference, Evaluate(max_loss=0.005))) == fails


@pytest.mark.parametrize("value, fails", [(10.04, False), (10.06, True)])
def test_the_loss_of_an_error_is_a_share(value, fails):
    reference = Reference(constant=20.0, variant=10.0, serving=None)
    found = failures(variant("int8", rmse=value), "rmse", reference, Evaluate(max_variant_loss=0.005))
    said = "rmse 10.06 is 0.60% worse than the 10 of the float32 variant, more than evaluate.max_variant_loss 0.005"
    assert found == ([said] if fails else [])


def test_every_failed_check_has_its_sentence():
    section = Evaluate.model_validate({"min_quality": 0.9, "limits": {"size_bytes": 10, "latency_p99_ms": 0.001}})
    reference = Reference(constant=0.5, variant=0.8, serving=0.8)
    found = failures(variant("int8", auc=0.7), "auc", reference, section)
    assert [key for sentence, key in zip(found, ("min_quality", "max_loss", "max_variant_loss", "size_bytes", "p99_ms"))
            if key in sentence] == ["min_quality", "max_loss", "max_variant_loss", "size_bytes", "p99_ms"]  # fmt: skip


@pytest.mark.parametrize(
    "serving, end",
    [
        (None, "and no version is in service"),
        ({"version": 3, "metrics": {"auc": 0.6988}, "not_comparable": None}, "0.0012 better than version 3 in service"),
        ({"version": 3, "metrics": {"auc": 0.7012}, "not_comparable": None}, "0.0012 worse than version 3 in service"),
        ({"version": 3, "metrics": {"auc": 0.7}, "not_comparable": None}, "equal to version 3 in service"),
        ({"version": 3, "metrics": {}, "not_comparable": "why"}, "not compared with version 3 in service: why"),
    ],
)
def test_the_reason_compares_with_the_version_in_service(serving, end):
    variants = [variant("dynamic", 107 * 1024), variant("float32", 403 * 1024), variant("int8", failed=True)]
    sentence = reason(variants, variants[0], "auc", "size", serving)
    start = "dynamic (107 KiB) is the smallest of 2 variants that pass (3 were tried): auc 0.7000, "
    assert sentence == start + end


def test_the_reason_for_latency_and_for_one_variant():
    variants = [variant("int8", p50_us=23.4)]
    sentence = reason(variants, variants[0], "auc", "latency", None)
    assert sentence.startswith("int8 (23 µs) is the only variant that passes: auc 0.7000")


def test_the_reason_of_a_refusal_names_every_failure():
    sentence = reason([variant("float32", failed=True), variant("int8", failed=True)], None, "auc", "size", None)
    assert sentence == "no variant passes: float32: it failed; int8: it failed"


@pytest.mark.parametrize("value, text", [(0.70512, "0.7051"), (0.0, "0.0000"), (1234.567, "1235"), (0.00004, "4e-05")])
def test_metrics_are_shown_with_the_digits_that_matter(value, text):
    assert shown(value) == text
