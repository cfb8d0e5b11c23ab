"""How fast a case's variants are beside onnxruntime and TensorFlow, on one thread."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.compression.cases import FLOAT32, Case, litert_path
from benchmarks.compression.engines import Engine, litert, onnx, onnxruntime, tensorflow
from benchmarks.compression.timing import medians_us
from benchmarks.training.processes import ROOT
from components import artifacts
from components.compress.candidate import Candidate
from components.evaluate.scoring import first_rows
from components.features.instances import to_instances

SMALL, LARGE = 1, 256
RAW_ROWS = 500
ONNX_INT8 = ("onnxruntime static int8", "onnxruntime dynamic int8")


def engines(case: Case) -> dict[str, Engine]:
    """Every variant in LiteRT, the network in onnxruntime (float32 and int8) and in TensorFlow."""
    candidate, folder = Candidate.read(case.model), case.folder / "onnx"
    folder.mkdir(exist_ok=True)
    found: dict[str, Engine] = {recipe: litert(litert_path(variant)) for recipe, variant in case.variants.items()}
    paths = onnx(candidate.network, candidate.spec, case.inputs(), folder)
    names = {"float32": "onnxruntime float32", "static": ONNX_INT8[0], "dynamic": ONNX_INT8[1]}
    found |= {names[kind]: onnxruntime(path) for kind, path in paths.items()}
    return found | {"TensorFlow": tensorflow(candidate.network)}


def model_us(case: Case, rounds: int) -> dict[int, dict[str, float]]:
    """Microseconds that the model alone takes for a batch, by size of the batch and engine."""
    inputs, found = case.inputs(), engines(case)
    return {
        size: medians_us(
            {
                name: partial(engine, {part: values[:size] for part, values in inputs.items()})
                for name, engine in found.items()
            },
            rounds,
        )
        for size in (SMALL, LARGE)
    }


def raw_us(case: Case) -> Mapping[str, float]:
    """Microseconds from one row as JSON brings it to its prediction: the chosen variant, and the SavedModel."""
    data = case.config.data
    names = tuple(name for name in data.columns if name != data.label)
    rows = to_instances(first_rows(case.examples / artifacts.HELDOUT, data, names, RAW_ROWS), data)
    path = case.folder / "rows.json"
    path.write_text(json.dumps(rows, default=str), encoding="utf-8")
    return {engine: _raw_us(engine, case.version, path) for engine in ("litert", "tensorflow")}


def _raw_us(engine: str, version: Path, rows: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.serving.in_process", "--engine", engine]
    told = subprocess.run(
        [*command, "--version", str(version), "--rows", str(rows)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    median_us: float = json.loads(told.stdout.splitlines()[-1])["median_us"]
    return median_us


def best_int8(times: Mapping[str, float]) -> float:
    """Of onnxruntime's two ways to quantize, the faster."""
    return min(times[name] for name in ONNX_INT8)


def ratio(times: Mapping[str, float], recipe: str) -> float:
    """How many times as fast as float32 in LiteRT."""
    return times[FLOAT32] / times[recipe]
