"""A model of images runs through the whole pipeline, and is asked what it sees."""

import base64
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.artifacts import read_records
from components.features.reader import InstanceReader
from components.predictor.predictor import Predictor
from components.store import ModelStore
from tests.learning.photos import DATA, NETWORK, OTHERS, PHOTO, labels, raw_rows

ROOT = Path(__file__).parents[2]
ROWS = 1500


def lay_out(folder: Path) -> Path:
    """A model's folder with its data; every tenth image is missing, and one is damaged."""
    raw = raw_rows(ROWS)
    photos = [photo or None for photo in raw["photo"]]
    photos[5] = photos[5][:50]
    table = {
        "photo": pa.array(photos, pa.binary()),
        "size": pa.array(raw["size"].astype(np.float64)),
        "town": pa.array([town or None for town in raw["town"]]),
        "y": pa.array([DATA.label_classes[int(label)] for label in labels(raw)]),
    }
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "rows.parquet")
    described = {
        "name": "photos",
        "data": DATA.model_dump(mode="json", exclude_defaults=True),
        "features": [feature.model_dump(mode="json") for feature in (PHOTO, *OTHERS)],
        "network": NETWORK.model_dump(mode="json"),
        "ingest": {"source": "rows.parquet"},
        "preprocess": {"heldout_share": 0.2},
        "train": {"epochs": 15, "learning_rate": 0.01},
        "compress": {"recipes": ["float32", "dynamic", "int8"]},
        "evaluate": {"limits": {"loss": 0.1}},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(described))
    return folder


@pytest.mark.nightly
def test_a_model_of_images_runs(tmp_path: Path) -> None:
    model, work = lay_out(tmp_path / "photos"), tmp_path / "work"
    subprocess.run(
        [sys.executable, "pipeline.py", "run", str(model), "--work", str(work)], cwd=ROOT, check=True, timeout=600
    )
    (run,) = (work / "runs").iterdir()
    records = read_records(run)
    assert records["ingest"].details["rejected"] == {"photo is a PNG image that is cut off": 1}
    evaluation = records["evaluate"].details
    chosen = next(variant for variant in evaluation["variants"] if variant["recipe"] == evaluation["chosen"])
    assert chosen["metrics"]["accuracy"] > 0.9
    assert evaluation["skew"]["largest_difference"] <= 1e-6
    assert "photo" in (run / "report.html").read_text()

    predictor = Predictor.load(ModelStore(work, "photos").pointed("serving").path / "serving")
    reader = InstanceReader(predictor.transform.data, predictor.source_columns)
    raw = raw_rows(50, seed=3)
    instances = [{"photo": base64.b64encode(photo).decode()} for photo in raw["photo"]]
    found = predictor.predict_rows(reader.from_json(instances)).argmax(axis=1)
    assert (found == labels(raw)).mean() > 0.85
