"""Fashion-MNIST: laid out whole, the same every time, and with the way to get it where it is missing."""

import gzip
import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.config import load
from components.features.pixels import decoded
from components.features.png import read

MODEL = Path(__file__).parents[2] / "models" / "fashion"
ROWS = {"train": 30, "t10k": 12}


def load_script():
    spec = importlib.util.spec_from_file_location("fashion_data", MODEL / "data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return load_script()


def pixels(prefix: str) -> np.ndarray:
    return np.random.default_rng(len(prefix)).integers(0, 256, (ROWS[prefix], 28, 28), np.uint8)


@pytest.fixture
def package(tmp_path) -> Path:
    """A folder as the package brings it, of random images."""
    folder = tmp_path / "package"
    folder.mkdir()
    for prefix, rows in ROWS.items():
        images = struct.pack(">I3I", 0x0803, rows, 28, 28) + pixels(prefix).tobytes()
        labels = struct.pack(">II", 0x0801, rows) + bytes(row % 10 for row in range(rows))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


def test_every_image_with_its_name(script, package, tmp_path) -> None:
    script.lay_out(tmp_path / "out", package)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == [
        "fashion-test.parquet",
        "fashion-train.parquet",
    ]
    for part, prefix in (("train", "train"), ("test", "t10k")):
        table = pq.read_table(tmp_path / "out" / f"fashion-{part}.parquet")
        assert table["image_id"].to_pylist() == [f"{part}-{row:05}" for row in range(ROWS[prefix])]
        assert table["article"].to_pylist()[:11] == [*script.ARTICLES, "T-shirt/top"]
        images = [decoded(read(content), 1)[..., 0] for content in table["image"].to_pylist()]
        np.testing.assert_array_equal(np.stack(images), pixels(prefix))


def test_complete_data_is_left_alone_and_unfinished_data_completed(script, package, tmp_path) -> None:
    script.lay_out(tmp_path / "out", package)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    script.lay_out(tmp_path / "out", package)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times
    (tmp_path / "out" / "fashion-test.parquet").unlink()
    script.lay_out(tmp_path / "out", package)
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2


def test_without_the_package_it_says_how_to_get_it(tmp_path) -> None:
    code = (
        "import runpy, sys, pathlib; sys.argv = ['data.py', sys.argv[1]]; real = pathlib.Path.is_file\n"
        "pathlib.Path.is_file = lambda path: 'datasets' not in str(path) and real(path)\n"
        f"runpy.run_path({str(MODEL / 'data.py')!r}, run_name='__main__')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "install it with apt-get install dataset-fashion-mnist" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_the_model_can_be_loaded_and_knows_every_name(script) -> None:
    config = load(MODEL)
    assert config.data.label_classes == script.ARTICLES


@pytest.mark.skipif(not load_script().FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_real_images_are_all_there(script) -> None:
    for prefix, rows in (("train", 60_000), ("t10k", 10_000)):
        labels = script._read(script.FOLDER, prefix, "labels")
        assert np.bincount(labels).tolist() == [rows // 10] * 10
        assert script._read(script.FOLDER, prefix, "images").shape == (rows, 28, 28)
