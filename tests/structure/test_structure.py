"""The rules of the house: who may import whom, and that names agree everywhere (DESIGN.md §3)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = ROOT / "components"
STEPS = {path.parent.name for path in COMPONENTS.glob("*/component.py")}
PROGRAMS = {"serve", "cleanup"}
"""Rooms with an image of their own that are no steps."""
# From the bottom up; a room may import those before it.
LAYERS = (
    {"errors"},
    {"schema", "model_yaml", "storage", "digests"},
    {"artifacts"},
    {"features"},
    {"store", "kubernetes", "learning", "predictor", "report", "cleanup", "cluster_config"},
    {"serve"},
    STEPS,
    {"config"},
    {"orchestration"},
)
SIDEWAYS = {("cleanup", "store"), ("cleanup", "kubernetes")}
LIGHT = (
    "config",
    "artifacts",
    "digests",
    "storage",
    "store",
    "schema",
    "predictor",
    "report",
    "cleanup",
    "kubernetes",
    "serve",
)
LIGHT_STEPS = ("ingest", "resolve", "validate", "evaluate", "rehearse", "deploy", "finish")
HEAVY_PACKAGES = {"tensorflow", "tensorflow_transform", "apache_beam", "tf_keras", "keras", "tfx_bsl"}
# Imported inside a function, only when the source is a TFRecord.
ALLOWED_HEAVY = {"components/ingest/read_tfrecord.py"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write absolute imports"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _room(path: Path) -> str:
    return path.relative_to(COMPONENTS).parts[0].removesuffix(".py")


def _modules() -> list[Path]:
    return [path for path in sorted(COMPONENTS.rglob("*.py")) if path.name != "__init__.py"]


def _layer(room: str) -> int:
    return next(index for index, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(COMPONENTS).as_posix())
def test_imports_point_downwards(path: Path) -> None:
    room = _room(path)
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "components" or len(parts) < 2 or parts[1] == room:
            continue
        target = parts[1]
        if path.name == "component.py" and target == "orchestration":
            assert name in ("components.orchestration.step.step", "components.orchestration.step.uncached_step")
            continue
        assert (room, target) in SIDEWAYS or _layer(target) < _layer(room), f"{path.name} may not import {name}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(COMPONENTS).as_posix())
def test_kfp_stays_with_the_pipeline(path: Path) -> None:
    if path.name == "component.py" or _room(path) == "orchestration":
        return
    assert not {name for name in _imports(path) if name.split(".")[0] == "kfp"}


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(COMPONENTS).as_posix())
def test_light_rooms_need_no_tensorflow(path: Path) -> None:
    light = _room(path) in (*LIGHT, *LIGHT_STEPS) or path.name in ("config.py", "component.py")
    plain_features = _room(path) == "features" and not path.stem.endswith("_tf")
    if not (light or plain_features) or path.relative_to(ROOT).as_posix() in ALLOWED_HEAVY:
        return
    assert not {name for name in _imports(path) if name.split(".")[0] in HEAVY_PACKAGES}
    if _room(path) in LIGHT or plain_features:
        assert not {name for name in _imports(path) if name.endswith("_tf") or "_tf." in name}


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_component_is_a_signature_and_one_call(step: str) -> None:
    tree = ast.parse((COMPONENTS / step / "component.py").read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert function.name == step
    work = [node for node in function.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(work) == 1 and isinstance(work[0], ast.Expr | ast.Return)


def test_names_agree_everywhere() -> None:
    from components.config import STEP_CONFIGS, ModelConfig

    sections = {field.alias or name for name, field in ModelConfig.model_fields.items()}
    assert set(STEP_CONFIGS) | {"compress"} == STEPS
    assert sections >= STEPS
    for step in STEPS:
        assert (COMPONENTS / step / "config.py").exists()
        assert (COMPONENTS / step / f"{step}.py").exists()
        assert (ROOT / "containers" / step / "requirements.txt").exists()
        assert list((ROOT / "tests" / step).glob("test_*.py")), f"tests/{step} is empty"
    containers = {path.name for path in (ROOT / "containers").iterdir() if path.is_dir()} - {"__pycache__"}
    assert containers == STEPS | PROGRAMS
    assert "serve" in sections


def test_drawing_the_pipeline_imports_no_tensorflow() -> None:
    import subprocess
    import sys

    code = "import sys, pipeline; print([name for name in ('tensorflow', 'apache_beam') if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("step", LIGHT_STEPS)
def test_a_light_step_loads_no_tensorflow_even_indirectly(step: str) -> None:
    import subprocess
    import sys

    code = f"import sys, components.{step}.{step}; sys.exit(bool({HEAVY_PACKAGES!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_path_of_a_machine_and_no_index_in_the_repository() -> None:
    pattern = re.compile(r"--index-url|emit-index|/(work|farm|root|home/\w+)/")
    here = Path(__file__)
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path == here or not path.is_file() or any(part.startswith(".") and part != ".ci" for part in parts):
            continue
        if path.suffix in (".py", ".txt", ".in", ".yaml", ".toml") or path.name in ("Makefile", "run"):
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path} holds {found}"


# uvicorn loads its event loop and its parser by name.
LOADED_BY_NAME = {"httptools", "uvloop"}
# Beam writes TFRecord, TensorFlow Transform's vocabularies, with whichever of three packages it finds.
CHECKSUMS_OF_BEAM = {"preprocess": {"google-crc32c"}}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "apache_beam": "apache-beam",
    "farmhash": "cityhash",
    "google": "protobuf",
    "prometheus_client": "prometheus-client",
    "google_crc32c": "google-crc32c",
    "kfp_server_api": "kfp-server-api",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "tensorflow_metadata": "tensorflow-transform",
    "tensorflow_model_optimization": "tensorflow-model-optimization",
    "tensorflow_transform": "tensorflow-transform",
    "tf_keras": "tf-keras",
    "tfx_bsl": "tensorflow-transform",
    "yaml": "pyyaml",
}


@pytest.mark.parametrize("step", sorted(STEPS | PROGRAMS))
def test_an_image_asks_for_the_packages_that_its_code_imports_and_no_others(step: str) -> None:
    import sys

    from components.orchestration.images import STARTED, carried_files

    imported = {name.split(".")[0] for path in carried_files(step) if path.suffix == ".py" for name in _imports(path)}
    imported -= {"components", *sys.stdlib_module_names}
    needed = {DISTRIBUTIONS.get(name, name) for name in imported} | ({"kfp"} if step in STEPS else set())
    if step == "serve" or step in STARTED:
        needed |= LOADED_BY_NAME
    needed |= CHECKSUMS_OF_BEAM.get(step, set())
    lines = (ROOT / "containers" / step / "requirements.in").read_text().splitlines()
    assert {re.split("[=<>]", line)[0] for line in lines} == needed


def test_the_server_loads_nothing_large() -> None:
    import subprocess
    import sys

    large = HEAVY_PACKAGES | {"pyarrow", "pandas", "scipy", "sklearn", "kfp"}
    code = f"import sys, components.serve.__main__; print(sorted({large!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
