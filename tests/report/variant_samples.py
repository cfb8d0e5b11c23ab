"""What evaluate and compress say of twelve variants, single recipes and combinations."""

from typing import Any

FLOAT32_AUC = 0.7206
HALF_INTERVAL = 0.0006
LIMITS = {
    "loss": 0.003,
    "slice_loss": 0.02,
    "latency_p99_ms": 0.067,
    "size_bytes": 440_000,
    "memory_bytes": None,
    "rows_per_s": 200_000,
    "cost_per_million": 0.001,
}
TRAINED = ("pruned", "low_rank", "distilled", "quantization_aware")
LONGEST = "low_rank+pruned+quantization_aware+int8"
FIGURES = {
    "float32": (441_724, 0.7206, 33.1, 216_110),
    "float16": (232_584, 0.7206, 34.6, 193_136),
    "dynamic": (142_360, 0.7205, 33.4, 295_678),
    "int8": (139_864, 0.7204, 35.9, 253_179),
    "int8_float_io": (140_120, 0.7204, 33.9, 262_000),
    "pruned": (441_724, 0.7199, 33.0, 217_000),
    "pruned_int8": (139_864, 0.7195, 35.1, 254_000),
    "quantization_aware": (139_900, 0.7207, 34.2, 255_100),
    "low_rank": (201_480, 0.7203, 29.8, 320_110),
    "low_rank+int8": (68_224, 0.7199, 31.2, 401_000),
    "distilled+int8": (41_730, 0.7178, 27.5, 612_000),
    LONGEST: (68_300, 0.7021, 31.3, 400_000),
}
"""Bytes, AUC, microseconds and rows a second of each."""
FAILURES = {
    "float32": ["model.tflite has 441,724 bytes, more than evaluate.limits.size_bytes 440,000 by 1,724"],
    "float16": ["it predicts 193,136 rows/s, less than evaluate.limits.rows_per_s 200,000 by 6,864"],
    "int8": ["its p99 latency is 0.0682 ms, more than evaluate.limits.latency_p99_ms 0.067 by 0.00121"],
    "pruned": ["model.tflite has 441,724 bytes, more than evaluate.limits.size_bytes 440,000 by 1,724"],
    "pruned_int8": [
        "auc where carrier is HA (342 rows) is 0.0210 worse than that of the float32 variant, 95 % interval 0.0008 to "
        "0.0412, more than evaluate.limits.slice_loss 0.02 by 0.0212"
    ],
    "distilled+int8": [
        "auc 0.7178 is 0.0028 worse than the 0.7206 of the float32 variant, 95 % interval 0.0022 to 0.0034, more than "
        "evaluate.limits.loss 0.003 by 4e-04"
    ],
    LONGEST: [
        "auc 0.7021 is 0.0185 worse than the 0.7206 of the float32 variant, 95 % interval 0.0179 to 0.0191, more than "
        "evaluate.limits.loss 0.003 by 0.0161"
    ],
}


def compress(recipe: str) -> dict[str, Any]:
    """The record's details of one recipe."""
    trains = any(name in recipe for name in TRAINED)
    made = {"seconds": 38.2 if trains else 4.3, "examples": 1_453_480 if trains else 0}
    return {
        "recipe": recipe,
        "bytes": FIGURES[recipe][0],
        "seconds": made["seconds"],
        "sparsity": 0.8 if "pruned" in recipe else 0.0012,
        "parameters": 31_204 if "distilled" in recipe else 106_960,
        "made": {**made, "cost": 0.00042 if trains else None},
    }


def variant(recipe: str) -> dict[str, Any]:
    """A row of `evaluation.json`."""
    size, auc, p50_us, rows_per_s = FIGURES[recipe]
    made = compress(recipe)
    loss = round(FLOAT32_AUC - auc, 4)
    return {
        "recipe": recipe,
        "bytes": size,
        "compressed_bytes": round(size * (0.35 if "pruned" in recipe else 0.86)),
        "serving_bytes": size + 80_938,
        "memory_bytes": 9_000_000 + 12 * size,
        "metrics": {"auc": auc, "log_loss": 0.5937 + loss, "accuracy": 0.7049 - loss, "brier": 0.2007 + loss / 4},
        "latency_p50_us": p50_us,
        "latency_p99_us": p50_us * 1.9,
        "rows_per_s": rows_per_s,
        "cost_per_million": 1e6 / rows_per_s * 0.04 / 3600,
        "loss": None if recipe == "float32" else _interval(loss, HALF_INTERVAL),
        "worst_slice": None if recipe == "float32" else _worst_slice(recipe, loss),
        **{key: made[key] for key in ("sparsity", "parameters", "made")},
        "failures": FAILURES.get(recipe, []),
        "passed": recipe not in FAILURES,
    }


def _interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": round(value - half, 5), "high": round(value + half, 5)}


def _worst_slice(recipe: str, loss: float) -> dict[str, Any]:
    value, half = (0.021, 0.0202) if recipe == "pruned_int8" else (loss * 1.2, 0.0061)
    interval = _interval(value, half)
    return {
        "column": "carrier",
        "value": "HA",
        "rows": 342,
        "loss": value,
        "low": interval["low"],
        "high": interval["high"],
    }


def evaluation(described: dict[str, Any]) -> dict[str, Any]:
    """The evaluation of the twelve, with all that is not about variants from another one."""
    passing = [recipe for recipe in FIGURES if recipe not in FAILURES]
    chosen = min(passing, key=lambda recipe: FIGURES[recipe][0])
    return {
        **described,
        "reason": f"{chosen} (67 KiB) is the smallest of {len(passing)} variants that pass "
        f"({len(FIGURES)} were tried): auc 0.7199, 0.0029 better than version 3 in service",
        "chosen": chosen,
        "described": chosen,
        "limits": LIMITS,
        "variants": [variant(recipe) for recipe in FIGURES],
        "serving": {"version": 3, "metrics": {"auc": 0.7170, "log_loss": 0.5961}, "not_comparable": None},
    }


def as_error(found: dict[str, Any]) -> dict[str, Any]:
    """The same evaluation by an error, of which less is better and whose losses are shares."""
    rows = []
    for row in found["variants"]:
        loss = row["loss"] and {key: value * 2 for key, value in row["loss"].items()}
        metrics = {"rmse": 12.5 * (1 + (loss["value"] if loss else 0.0))}
        rows.append({**row, "metrics": metrics, "loss": loss})
    return {**found, "metric": "rmse", "higher_is_better": False, "variants": rows, "serving": None}
