"""Which variant is taken, and what is said about it."""

import pytest

from components.evaluate.choose import choose, reason
from components.evaluate.latency import Speed
from components.evaluate.variant import Size, Variant


def variant(
    recipe: str, size: int = 1000, p50_us: float = 10.0, failed: bool = False, price: float = 1.0, **metrics: float
) -> Variant:
    speed = Speed(p50_us, 2 * p50_us, 1e5)
    made = Variant(recipe, Size(size, size, size, None), speed, price, metrics or {"auc": 0.7})
    made.failures = ["it failed"] if failed else []
    return made


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


@pytest.mark.parametrize("objective, chosen", [("size", "small"), ("latency", "fast"), ("cost", "cheap")])
def test_the_objective_says_what_cheapest_means(objective, chosen):
    variants = [
        variant("small", 100, p50_us=30, price=3),
        variant("fast", 300, p50_us=10, price=2),
        variant("cheap", 200, p50_us=20, price=1),
    ]
    assert choose(variants, "auc", objective).recipe == chosen


def test_of_nearly_equal_prices_the_better_is_taken():
    variants = [variant("int8", price=1.0, auc=0.70), variant("dynamic", price=1.04, auc=0.71)]
    assert choose(variants, "auc", "cost").recipe == "dynamic"
    variants[1].cost_per_million = 1.06
    assert choose(variants, "auc", "cost").recipe == "int8"


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


def test_the_reason_for_cost():
    sentence = reason([variant("int8", price=0.000412)], variant("int8", price=0.000412), "auc", "cost", None)
    assert sentence.startswith("int8 (0.000412 for a million predictions) is the only variant that passes")


def test_the_reason_of_a_refusal_names_every_failure():
    sentence = reason([variant("float32", failed=True), variant("int8", failed=True)], None, "auc", "size", None)
    assert sentence == "no variant passes: float32: it failed; int8: it failed"
