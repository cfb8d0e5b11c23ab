"""What evaluate decides, and what it leaves for deploy and the report."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from components import artifacts
from components.errors import UserError
from components.evaluate.evaluate import kfp_metrics
from components.evaluate.latency import Speed

UNCOMPARED = {"loss": None, "slice_loss": None}
MORE_NOISE = ((2.0,), (0.4,))


def heldout(room) -> pa.Table:
    return pq.read_table(room.examples / artifacts.HELDOUT)


def test_takes_the_smallest_variant_that_passes(room):
    evaluation = room.evaluate(room.variant("float32", padding=5000), room.variant("dynamic", padding=100))
    assert (evaluation["decision"], evaluation["chosen"]) == ("blessed", "dynamic")
    assert evaluation["reason"].startswith("dynamic (1 KiB) is the smallest of 2 variants that pass: auc 0.8")
    assert evaluation["reason"].endswith("and no version is in service")
    assert evaluation["serving"] is None


def test_the_chosen_folder_is_the_variant_and_the_evaluation(room):
    variant = room.variant("dynamic")
    evaluation = room.evaluate(variant, limits=UNCOMPARED)
    of_variant = {path.relative_to(variant) for path in variant.rglob("*") if path.is_file()}
    of_chosen = {path.relative_to(room.chosen) for path in room.chosen.rglob("*") if path.is_file()}
    added = {path.as_posix() for path in of_chosen - of_variant}
    assert added == {"evaluation.json", "heldout_predictions.npy", "records/evaluate.json"}
    assert of_variant <= of_chosen
    for path in of_variant:
        assert (room.chosen / path).read_bytes() == (variant / path).read_bytes()
    assert artifacts.read_records(room.chosen)["evaluate"].details == evaluation


@pytest.mark.parametrize("rows", [300, 3000])
def test_the_chosen_variants_first_predictions_are_kept(room, weights, rows):
    table = pa.concat_tables([heldout(room)] * 2).slice(0, rows)
    labels = pa.array([None] * 10 + table["late"].to_pylist()[10:], pa.int64())
    room.heldout(table.set_column(3, "late", labels))
    chosen = room.variant("dynamic", weights["slightly worse"])
    room.evaluate(room.variant("float32", padding=9000), chosen, limits={"loss": 1})
    predictions = np.load(room.chosen / artifacts.HELDOUT_PREDICTIONS)
    assert (predictions.shape, predictions.dtype) == ((min(rows, 2048),), np.float32)
    x, noise = (np.array(table[name])[:2048] for name in ("x", "noise"))
    np.testing.assert_allclose(predictions, 1 / (1 + np.exp(-2 * x - 0.3 * noise)), atol=1e-5)


def test_a_refused_run_leaves_the_evaluation_only(room, weights):
    evaluation = room.evaluate(room.variant("float32", weights["useless"]))
    assert (evaluation["decision"], evaluation["chosen"]) == ("refused", None)
    assert evaluation["reason"].startswith("no variant passes: float32: auc 0.")
    assert {path.name for path in room.chosen.iterdir()} == {"evaluation.json", "records"}
    assert evaluation["described"] == "float32" and evaluation["calibration"]


def test_metrics_are_those_of_the_rows(room, weights):
    evaluation = room.evaluate(room.variant("float32"), room.variant("int8", weights["poor"]))
    table = heldout(room)
    late, x, noise = (np.array(table[name]) for name in ("late", "x", "noise"))
    by_recipe = {row["recipe"]: row["metrics"] for row in evaluation["variants"]}
    assert by_recipe["float32"]["auc"] == pytest.approx(roc_auc_score(late, x), abs=1e-4)
    assert by_recipe["int8"]["auc"] == pytest.approx(roc_auc_score(late, 2 * x + 4 * noise), abs=1e-4)
    assert evaluation["base_rate"] == pytest.approx(late.mean())
    assert (evaluation["rows"], evaluation["unlabelled"]) == (2000, 0)


def test_sizes_are_those_of_the_files(room):
    variant = room.variant("float32", padding=1000)
    (row,) = room.evaluate(variant)["variants"]
    assert row["bytes"] == (variant / "serving" / "model.tflite").stat().st_size
    assert row["compressed_bytes"] == len(gzip.compress((variant / "serving" / "model.tflite").read_bytes(), 6))
    assert row["bytes"] - row["compressed_bytes"] > 1000  # the padding is zeros
    assert row["serving_bytes"] == sum(
        path.stat().st_size for path in (variant / "serving").rglob("*") if path.is_file()
    )


def test_speed_is_measured(room):
    (row,) = room.evaluate(room.variant("float32"))["variants"]
    assert 0 < row["latency_p50_us"] <= row["latency_p99_us"]
    assert row["rows_per_s"] > 1e6 / row["latency_p50_us"]


def test_the_threshold_decides(room):
    assert room.evaluate(room.variant("float32"), min_quality=0.8)["decision"] == "blessed"


def test_below_the_threshold_is_refused(room):
    evaluation = room.evaluate(room.variant("float32"), min_quality=0.9)
    assert evaluation["decision"] == "refused"
    assert "is below evaluate.min_quality 0.9" in evaluation["reason"]


def test_an_error_above_the_threshold_is_refused(room):
    evaluation = room.evaluate(room.variant("float32"), metric="log_loss", max_error=0.1)
    assert "is above evaluate.max_error 0.1" in evaluation["reason"]


@pytest.mark.parametrize("limit, chosen", [(0.001, "float32"), (0.05, "int8"), (None, "int8")])
def test_a_small_variant_that_lost_quality_is_not_taken(room, weights, limit, chosen):
    small = room.variant("int8", weights["slightly worse"])
    evaluation = room.evaluate(room.variant("float32", padding=5000), small, limits={"loss": limit})
    assert evaluation["chosen"] == chosen
    failures = {row["recipe"]: row["failures"] for row in evaluation["variants"]}
    assert (failures["int8"] != []) == (chosen == "float32")
    assert all("worse than the" in sentence and "of the float32 variant" in sentence for sentence in failures["int8"])


def test_a_loss_within_the_limit_that_is_not_sure_blocks(room, weights):
    variants = room.variant("float32", padding=5000), room.variant("int8", weights["slightly worse"])
    lost = room.evaluate(*variants)["variants"][1]["loss"]
    assert lost["low"] < lost["value"] < lost["high"]
    for limit, chosen in ((lost["value"] + 1e-6, "float32"), (lost["high"] + 1e-6, "int8")):
        room.chosen = room.root / f"again-{chosen}"
        assert room.evaluate(*variants, limits={"loss": limit})["chosen"] == chosen


def test_the_loss_is_that_on_the_same_rows(room, weights):
    evaluation = room.evaluate(room.variant("float32"), room.variant("int8", weights["poor"]))
    float32, int8 = evaluation["variants"]
    assert float32["loss"] is None and float32["worst_slice"] is None
    assert int8["loss"]["value"] == pytest.approx(float32["metrics"]["auc"] - int8["metrics"]["auc"])


@pytest.mark.parametrize("float32", ["missing", "broken", "error"])
def test_without_float32_no_variant_passes_unjudged(room, weights, float32):
    said = {"missing": "there is no float32", "broken": "float32 variant are not finite", "error": "not be made"}
    others = {"broken": lambda: room.variant("float32", weights["broken"]), "error": lambda: not_made(room, "float32")}
    variants = [room.variant("int8", weights["slightly worse"]), *([others[float32]()] if float32 in others else [])]
    evaluation = room.evaluate(*variants)
    assert evaluation["decision"] == "refused" and said[float32] in evaluation["variants"][0]["failures"][0]
    room.chosen = room.root / "again"
    evaluation = room.evaluate(*variants, limits={"loss": None, "slice_loss": None})
    assert evaluation["chosen"] == "int8"
    assert (evaluation["variants"][0]["loss"], evaluation["variants"][0]["worst_slice"]) == (None, None)


def not_made(room, recipe: str) -> Path:
    """What compress leaves of a recipe that it could not carry out."""
    folder = room.variant(recipe)
    shutil.rmtree(folder / "serving")
    artifacts.write_json(folder / "variant.json", {"recipe": recipe, "error": f"{recipe} cannot be converted"})
    return folder


def test_a_recipe_that_could_not_be_made_is_told_and_stops_nothing(room):
    variants = not_made(room, "int8"), room.variant("float32", padding=99), room.variant("dynamic")
    evaluation = room.evaluate(*variants, slices=["carrier"])
    assert evaluation["chosen"] == evaluation["described"] == "dynamic"
    assert "the smallest of 2 variants that pass (3 were tried)" in evaluation["reason"]
    broken, *others = evaluation["variants"]
    assert [row["recipe"] for row in others] == ["float32", "dynamic"] and set(broken) == set(others[0])
    told = {key: value for key, value in broken.items() if value is not None}
    failures = ["int8 cannot be converted"]
    assert told == {"recipe": "int8", "metrics": {}, "failures": failures, "passed": False}
    assert np.load(room.chosen / artifacts.HELDOUT_PREDICTIONS).shape == (2000,)


def test_refused_where_no_recipe_could_be_made(room, weights):
    room.in_service(weights["good"])
    evaluation = room.evaluate(not_made(room, "float32"), not_made(room, "int8"))
    assert (evaluation["decision"], evaluation["described"]) == ("refused", None)
    said = "no variant passes: float32: float32 cannot be converted; int8: int8 cannot be converted"
    assert evaluation["reason"] == said
    assert room.logged == {} and not (room.chosen / "serving").exists()


def few_noisy(room) -> None:
    """Rows in which the second float says something of 7 % of the rows only: those of one carrier."""
    table = heldout(room)
    few = np.random.default_rng(1).random(2000) < 0.07
    carrier = np.where(few, "VX", np.array(["AA", "UA"])[np.arange(2000) % 2])
    noise = np.where(few, np.array(table["noise"]), 0.0)
    room.heldout(table.set_column(1, "noise", pa.array(noise)).set_column(2, "carrier", pa.array(carrier)))


@pytest.mark.parametrize("slice_loss, chosen", [(0.05, "float32"), (0.5, "int8"), (None, "int8")])
def test_a_variant_that_is_bad_on_a_small_slice_only_is_blocked(room, weights, slice_loss, chosen):
    few_noisy(room)
    small = room.variant("int8", weights["poor"])
    limits = {"loss": 0.05, "slice_loss": slice_loss}
    evaluation = room.evaluate(
        room.variant("float32", padding=5000), small, limits=limits, slices=["carrier"], min_slice_rows=50
    )
    assert evaluation["chosen"] == chosen
    row = evaluation["variants"][1]
    worst, slices = row["worst_slice"], {part["value"]: part["rows"] for part in evaluation["slices"]}
    assert (worst["column"], worst["value"], worst["rows"]) == ("carrier", "VX", slices["VX"])
    assert worst["high"] > worst["loss"] > 0.05 > row["loss"]["high"]
    if chosen == "float32":
        (sentence,) = row["failures"]
        assert sentence.startswith("auc where carrier is VX (") and "evaluate.limits.slice_loss 0.05 by" in sentence


def test_a_repeated_evaluation_decides_alike(room, weights):
    variants = room.variant("float32", padding=5000), room.variant("int8", weights["slightly worse"])
    found = []
    for name in ("first", "second"):
        room.chosen = room.root / name
        row = room.evaluate(*variants, slices=["carrier"])["variants"][1]
        found.append((row["loss"], row["worst_slice"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("limit, decision", [(100, "refused"), (100_000, "blessed")])
def test_the_size_limit_decides(room, limit, decision):
    evaluation = room.evaluate(room.variant("float32"), limits={"size_bytes": limit})
    assert evaluation["decision"] == decision
    assert ("evaluate.limits.size_bytes 100" in evaluation["reason"]) == (decision == "refused")


@pytest.mark.parametrize("limit, decision", [(1e-6, "refused"), (1e6, "blessed")])
def test_the_latency_limit_decides(room, limit, decision):
    evaluation = room.evaluate(room.variant("float32"), limits={"latency_p99_ms": limit})
    assert evaluation["decision"] == decision


@pytest.mark.parametrize(
    "key, infeasible, feasible",
    [("memory_bytes", 999_999, 1_000_000), ("rows_per_s", 1e12, 1), ("cost_per_million", 1e-12, 1000)],
)
def test_an_infeasible_limit_blocks_and_every_variant_says_by_how_much(room, key, infeasible, feasible):
    variants = room.variant("float32"), room.variant("int8")
    evaluation = room.evaluate(*variants, limits={key: infeasible})
    assert evaluation["decision"] == "refused" and not (room.chosen / "serving").exists()
    for recipe in ("float32", "int8"):
        assert f"{recipe}: " in evaluation["reason"]
    assert evaluation["reason"].count(f"evaluate.limits.{key}") == evaluation["reason"].count(" by ") == 2
    room.chosen = room.root / "again"
    assert room.evaluate(*variants, limits={key: feasible})["decision"] == "blessed"


def test_a_size_limit_flips_the_choice_of_the_fastest(room, monkeypatch):
    def measured(predictors, rows):
        return [Speed(10.0 if one.recipe == "float32" else 20.0, 40.0, 1e5) for one in predictors]

    monkeypatch.setattr("components.evaluate.latency.measure", measured)
    variants = room.variant("float32", padding=5000), room.variant("int8")
    for limit, chosen in ((None, "float32"), (5000, "int8"), (100, None)):
        room.chosen = room.root / f"again-{chosen}"
        assert room.evaluate(*variants, objective="latency", limits={"size_bytes": limit})["chosen"] == chosen


def test_the_price_follows_from_the_time_and_the_price_of_a_core(room, monkeypatch):
    monkeypatch.setattr("components.evaluate.latency.measure", lambda predictors, rows: [Speed(36.0, 90.0, 1e5)])
    evaluation = room.evaluate(room.variant("float32"), core_hour=0.5, objective="cost")
    assert evaluation["variants"][0]["cost_per_million"] == pytest.approx(1e6 / 1e5 / 3600 * 0.5)
    assert evaluation["reason"].startswith(
        "float32 (0.00139 for a million predictions) is the only variant that passes"
    )


def test_the_evaluation_holds_the_limits_and_what_compress_says(room):
    evaluation = room.evaluate(room.variant("float32"), limits={"loss": 0.01, "size_bytes": 99_999})
    assert evaluation["limits"] == {
        "loss": 0.01,
        "slice_loss": 0.02,
        "latency_p99_ms": None,
        "size_bytes": 99_999,
        "memory_bytes": None,
        "rows_per_s": None,
        "cost_per_million": None,
    }
    (row,) = evaluation["variants"]
    assert (row["sparsity"], row["parameters"], row["memory_bytes"]) == (0.25, 2, 1_000_000)
    assert row["made"] == {"seconds": 1.5, "examples": 0, "cost": None}
    assert row["notes"] == ["it stays as it is"]


def test_predictions_that_are_not_finite_are_refused(room, weights):
    evaluation = room.evaluate(room.variant("float32", padding=9000), room.variant("int8", weights["broken"]))
    assert evaluation["chosen"] == "float32"
    broken = evaluation["variants"][1]
    assert (broken["metrics"], broken["failures"]) == ({}, ["its predictions are not finite"])


def test_refused_when_no_prediction_is_finite(room, weights):
    evaluation = room.evaluate(room.variant("float32", weights["broken"]))
    assert evaluation["decision"] == "refused"
    assert (evaluation["calibration"], evaluation["slices"]) == ([], [])
    assert kfp_metrics(evaluation)["bytes"] > 0


@pytest.mark.parametrize("max_loss, decision", [(0.005, "refused"), (0.4, "blessed")])
def test_a_model_worse_than_the_one_in_service_is_refused(room, weights, max_loss, decision):
    room.in_service(weights["good"])
    evaluation = room.evaluate(room.variant("float32", weights["poor"]), max_loss=max_loss)
    assert evaluation["decision"] == decision
    said = "of the version in service, more than" if decision == "refused" else "worse than version 3 in service"
    assert said in evaluation["reason"]


def test_a_model_better_than_the_one_in_service_is_blessed(room, weights):
    room.in_service(weights["poor"])
    evaluation = room.evaluate(room.variant("float32"))
    assert "better than version 3 in service" in evaluation["reason"]
    ours = evaluation["variants"][0]["metrics"]["auc"]
    assert (evaluation["serving"]["version"], evaluation["serving"]["metrics"]["auc"] < ours) == (3, True)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"columns": {"x": "float", "noise": "integer", "carrier": "string", "late": "integer"}}, "noise as integer"),
        (
            {"columns": {"x": "float", "noise": "float", "late": "integer", "late2": "integer"}, "label": "late2"},
            "late2",
        ),
        ({"classes": [1, 0]}, "other classes"),
    ],
)
def test_a_version_in_service_of_another_problem_is_told_not_compared(room, weights, data, changes, why):
    room.in_service(weights["good"], data(**changes))
    evaluation = room.evaluate(room.variant("float32", weights["slightly worse"]), max_loss=0)
    assert evaluation["decision"] == "blessed"
    assert why in evaluation["serving"]["not_comparable"] and evaluation["serving"]["metrics"] == {}
    assert "not compared with version 3 in service" in evaluation["reason"]


def test_a_version_in_service_that_reads_a_column_no_longer_declared(room, weights):
    room.in_service(weights["good"])
    service = artifacts.read_json(room.serving / "serving" / "features.json")
    service["data"]["columns"]["old"] = service["data"]["columns"].pop("noise")
    service["features"][1]["column"] = "old"
    artifacts.write_json(room.serving / "serving" / "features.json", service)
    evaluation = room.evaluate(room.variant("float32"))
    assert evaluation["serving"]["not_comparable"] == "it reads the column old, which is no longer declared"


def test_the_version_in_service_is_scored_with_its_own_transform(room, weights):
    room.in_service(weights["good"])
    service = artifacts.read_json(room.serving / "serving" / "features.json")
    service["features"][0]["column"] = "noise"
    artifacts.write_json(room.serving / "serving" / "features.json", service)
    evaluation = room.evaluate(room.variant("float32"))
    table = heldout(room)
    expected = roc_auc_score(np.array(table["late"]), np.array(table["noise"]))
    assert evaluation["serving"]["metrics"]["auc"] == pytest.approx(expected, abs=1e-4)


def test_a_damaged_version_in_service_does_not_stop_its_replacement(room, weights):
    (room.in_service(weights["good"]) / "serving" / "model.tflite").write_bytes(b"")
    evaluation = room.evaluate(room.variant("float32"))
    assert evaluation["decision"] == "blessed" and "model.tflite" in evaluation["serving"]["not_comparable"]


def test_a_damaged_variant_stops_the_run_by_name(room):
    variant = room.variant("float32")
    (variant / "serving" / "model.tflite").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"variant-float32/serving/model\.tflite cannot be run"):
        room.evaluate(variant)
    record = artifacts.read_records(artifacts.run_folder(room.work, "test"))["evaluate"]
    assert record.status == "failed" and not room.chosen.exists()


def test_slices_tell_quality_by_value(room, weights):
    room.in_service(weights["poor"])
    evaluation = room.evaluate(room.variant("float32"), slices=["carrier"], min_slice_rows=200)
    table = heldout(room)
    carrier, late, x = np.array(table["carrier"].to_pylist()), np.array(table["late"]), np.array(table["x"])
    assert [part["value"] for part in evaluation["slices"]] == ["AA", "UA", "WN"]
    for part in evaluation["slices"]:
        rows = carrier == part["value"]
        assert part["rows"] == rows.sum()
        assert part["metric"] == pytest.approx(roc_auc_score(late[rows], x[rows]), abs=1e-4)
        assert part["serving_metric"] < part["metric"]
    assert evaluation["slices_left_out"] == {"carrier": {"values": 1, "rows": int((carrier == None).sum())}}  # noqa: E711


def test_missing_is_a_slice_too(room):
    evaluation = room.evaluate(room.variant("float32"), slices=["carrier"], min_slice_rows=10)
    assert evaluation["slices"][-1]["value"] == "(missing)"
    assert evaluation["slices"][-1]["serving_metric"] is None


def test_a_slice_of_one_class_is_left_out_and_counted(room):
    table = heldout(room)
    one_class = np.where(np.array(table["late"]) == 1, "AA", "UA")
    room.heldout(table.set_column(2, "carrier", pa.array(one_class)))
    evaluation = room.evaluate(room.variant("float32"), slices=["carrier"])
    assert evaluation["slices"] == []
    assert evaluation["slices_left_out"] == {"carrier": {"values": 2, "rows": 2000}}


def test_rows_without_a_label_are_counted(room):
    table = heldout(room)
    labels = pa.array([None] * 10 + table["late"].to_pylist()[10:], pa.int64())
    room.heldout(table.set_column(3, "late", labels))
    evaluation = room.evaluate(room.variant("float32"))
    assert (evaluation["rows"], evaluation["unlabelled"]) == (1990, 10)


@pytest.mark.parametrize("rows", [0, 20])
def test_no_labelled_rows_are_refused_with_the_key_to_change(room, rows):
    table = heldout(room).slice(0, rows)
    room.heldout(table.set_column(3, "late", pa.nulls(rows, pa.int64())))
    room.expected()
    with pytest.raises(UserError, match=r"no row with a label.*preprocess\.heldout_share"):
        room.evaluate(room.variant("float32"))


def test_rows_of_one_class_are_refused(room):
    table = heldout(room)
    room.heldout(table.set_column(3, "late", pa.array([0] * 2000)))
    with pytest.raises(UserError, match=r"all 2000 rows .* have the label 0"):
        room.evaluate(room.variant("float32"))


def test_a_label_that_is_no_class_is_refused(room):
    table = heldout(room)
    room.heldout(table.set_column(3, "late", pa.array([7, *table["late"].to_pylist()[1:]])))
    with pytest.raises(UserError, match=r"the label late is 7; it must be one of 0, 1"):
        room.evaluate(room.variant("float32"))


@pytest.mark.parametrize(
    "kind, classes, values", [("string", ["no", "yes"], ["no", "yes"]), ("boolean", None, [False, True])]
)
def test_labels_may_be_text_or_booleans(room, data, kind, classes, values):
    table = heldout(room)
    before = room.evaluate(room.variant("float32"))["variants"][0]["metrics"]
    room.data = data(columns={"x": "float", "noise": "float", "carrier": "string", "late": kind}, classes=classes)
    labels = pa.array([values[late] for late in table["late"].to_pylist()])
    room.heldout(table.set_column(3, "late", labels))
    room.chosen = room.root / "again"
    assert room.evaluate(room.variant("dynamic"), limits=UNCOMPARED)["variants"][0]["metrics"] == before


def test_multiclass(room, data):
    room.use(data(task="multiclass", classes=[0, 1, 2]))
    evaluation = room.evaluate(room.variant("float32", ((-2.0, 2.0, 0.0), (0.0, 0.0, 4.0))))
    assert (evaluation["metric"], evaluation["decision"]) == ("accuracy", "blessed")
    assert set(evaluation["variants"][0]["metrics"]) == {"accuracy", "log_loss"}
    assert evaluation["calibration"] == [] and "base_rate" not in evaluation


def test_multiclass_loses_accuracy(room, data):
    room.use(data(task="multiclass", classes=[0, 1, 2]))
    float32 = room.variant("float32", ((-2.0, 2.0, 0.0), (0.0, 0.0, 4.0)), padding=5000)
    evaluation = room.evaluate(float32, room.variant("int8", ((-2.0, 2.0, 0.0), (0.0, 0.0, -4.0))), slices=["carrier"])
    assert evaluation["chosen"] == "float32"
    row = evaluation["variants"][1]
    assert 0 < row["loss"]["low"] < row["loss"]["value"] < row["loss"]["high"]
    assert "accuracy 0." in row["failures"][0] and row["worst_slice"]["column"] == "carrier"


def test_a_variant_that_forgets_a_class_is_blocked(room, data):
    room.use(data(task="multiclass", classes=[0, 1, 2]))
    float32 = room.variant("float32", ((-2.0, 2.0, 0.0), (0.0, 0.0, 4.0)), padding=5000)
    int8 = room.variant("int8", ((-2.0, 2.0, 0.0), (0.0, 0.0, 0.0)))
    evaluation = room.evaluate(float32, int8, limits={"loss": 0.5}, slices=["late"])
    assert evaluation["chosen"] == "float32" and {part["value"] for part in evaluation["slices"]} == {"0", "1", "2"}
    row = evaluation["variants"][1]
    assert (row["worst_slice"]["column"], row["worst_slice"]["value"]) == ("late", "2")
    assert row["failures"][0].startswith("accuracy where late is 2 (")


def test_regression_loses_a_share_of_the_error(room, data, weights):
    room.use(data(task="regression", columns={"x": "float", "noise": "float", "carrier": "string", "late": "float"}))
    float32, int8 = room.variant("float32", weights["slightly worse"], padding=5000), room.variant("int8", MORE_NOISE)
    limits = {"loss": 0.3, "slice_loss": 0.3}
    evaluation = room.evaluate(float32, int8, metric="mae", limits=limits, slices=["carrier"])
    lost = evaluation["variants"][1]["loss"]
    assert [lost["low"], lost["value"], lost["high"]] == pytest.approx([1 / 3] * 3, abs=1e-3)  # of each row alike
    assert evaluation["chosen"] == "float32" and "is 33.33% worse" in evaluation["variants"][1]["failures"][0]


def test_regression(room, data, weights):
    room.use(data(task="regression", columns={"x": "float", "noise": "float", "carrier": "string", "late": "float"}))
    room.in_service(weights["good"])
    evaluation = room.evaluate(room.variant("float32", weights["slightly worse"]), max_loss=0.1, slices=["carrier"])
    assert (evaluation["metric"], evaluation["higher_is_better"]) == ("rmse", False)
    assert evaluation["decision"] == "refused"
    assert evaluation["variants"][0]["metrics"]["rmse"] == pytest.approx(0.3, rel=0.05)
    assert [part["metric"] for part in evaluation["slices"]] == pytest.approx([0.3] * 3, rel=0.1)


def test_equal_transforms_leave_no_skew(room):
    room.expected()
    assert room.evaluate(room.variant("float32"))["skew"] == {"rows": 100, "largest_difference": 0.0}


def test_without_the_expected_features_nothing_is_judged(room):
    (room.examples / artifacts.HELDOUT_EXPECTED).unlink()
    with pytest.raises(UserError, match=r"heldout_expected\.npz is missing"):
        room.evaluate(room.variant("float32"))


def test_skew_between_training_and_serving_is_refused_by_feature(room):
    def shift(floats, ids):
        floats[7, 1] += 0.001

    room.expected(shift)
    with pytest.raises(UserError, match=r"feature noise is .* held-out row 7 \(1 of 100 rows differ\)"):
        room.evaluate(room.variant("float32"))


def test_a_tampered_constant_is_refused(room):
    room.expected()
    variant = room.variant("float32")
    declared = (variant / "serving" / "features.json").read_text()
    tampered = json.loads(declared)
    tampered["features"][0]["clip"] = [-0.5, 0.5]
    (variant / "serving" / "features.json").write_text(json.dumps(tampered))
    with pytest.raises(UserError, match="the feature signal is"):
        room.evaluate(variant)


def test_kfp_metrics_are_numbers_of_the_chosen_variant(room, weights):
    room.in_service(weights["poor"])
    figures = kfp_metrics(room.evaluate(room.variant("float32", padding=99), room.variant("dynamic")))
    assert figures == room.logged
    assert all(isinstance(value, (int, float)) for value in figures.values())
    assert {"auc", "log_loss", "bytes", "latency_p50_us", "cost_per_million", "serving_auc"} <= set(figures)
    assert figures["bytes"] == (room.root / "variant-dynamic" / "serving" / "model.tflite").stat().st_size
