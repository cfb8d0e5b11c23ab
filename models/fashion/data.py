"""Lays out Fashion-MNIST as a feed would deliver it: Parquet files of PNG images with the name of what they show.

    python models/fashion/data.py TARGET_FOLDER

The images come from the Debian package `dataset-fashion-mnist` (MIT): 60,000 to train on and 10,000 to test with, 28 by
28 pixels in grey, ten kinds of clothes.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

PACKAGE = "dataset-fashion-mnist"
FOLDER = Path("/usr/share/datasets/fashion-mnist")
MANIFEST = "manifest.json"
PARTS = {"train": "train", "test": "t10k"}
"""Part → how its files' names begin."""
ARTICLES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""Names of the labels 0 to 9."""


def lay_out(target: Path, source: Path = FOLDER) -> None:
    """Writes `fashion-train.parquet`, `fashion-test.parquet` and `manifest.json` to a folder.

    A folder that this very script has completed is left alone. Each file appears whole or not at all, the manifest
    last.

    Args:
        target: the folder; it is made where it is missing, and other files in it are left alone.
        source: the folder that the package brings.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    if _is_complete(target):
        return
    target.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for part, prefix in PARTS.items():
        path = target / f"fashion-{part}.parquet"
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        pq.write_table(rows(part, _read(source, prefix, "images"), _read(source, prefix, "labels")), beside)
        beside.replace(path)
        sizes[path.name] = path.stat().st_size
    beside = target / f".{MANIFEST}.{os.getpid()}.tmp"
    beside.write_text(json.dumps({"made_by": _own_digest(), "bytes": sizes}, indent=1) + "\n", encoding="utf-8")
    beside.replace(target / MANIFEST)


def rows(part: str, pixels: np.ndarray, labels: np.ndarray) -> pa.Table:
    """The rows of one part.

    Args:
        part: the first word of each image's name.
        pixels: (rows, 28, 28) uint8.
        labels: (rows,) uint8, places in ARTICLES.
    """
    names = [f"{part}-{number:05}" for number in range(len(labels))]
    images = pa.array([_png(image) for image in pixels], pa.binary())
    return pa.table({"image_id": names, "image": images, "article": [ARTICLES[label] for label in labels]})


def _png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _read(source: Path, prefix: str, what: str) -> np.ndarray:
    """An array in the IDX format: two zeros, the type (8: uint8), the number of sizes, the sizes, then the values."""
    path = source / f"{prefix}-{what}-idx{3 if what == 'images' else 1}-ubyte.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; install it with apt-get install {PACKAGE} (Debian and Ubuntu)")
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _is_complete(target: Path) -> bool:
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["bytes"]}
    except FileNotFoundError:
        return False
    return manifest["made_by"] == _own_digest() and manifest["bytes"] == sizes


def _own_digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="folder to write the two files to")
    try:
        lay_out(parser.parse_args().target)
    except FileNotFoundError as error:
        parser.exit(1, f"{error}\n")
