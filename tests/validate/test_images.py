"""Images in validate: they are counted, and not compared."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from components.features.arrow import arrow_schema
from components.schema import parse
from components.validate import anomalies
from components.validate.config import ValidateConfig
from components.validate.statistics import describe, summarize
from tests.learning.photos import DATA, OTHERS, PHOTO, raw_rows


def write(folder, photos) -> list:
    rows = len(photos)
    columns = {"photo": photos, "size": [1.0, 2.0] * (rows // 2), "town": ["Ulm", "Bonn"] * (rows // 2)}
    columns["y"] = ["dark", "dim", "bright", "dim"] * (rows // 4)
    pq.write_table(pa.table(columns, schema=arrow_schema(DATA)), folder / "rows.parquet")
    return [folder / "rows.parquet"]


def config_of(**section) -> ValidateConfig:
    features = [feature.model_dump(mode="json") for feature in (PHOTO, *OTHERS)]
    raw = {"name": "photos", "data": DATA.model_dump(mode="json"), "features": features, "validate": section}
    return parse(ValidateConfig, json.dumps(raw))


def test_missing_images_are_counted(tmp_path) -> None:
    paths = write(tmp_path, [*raw_rows(9)["photo"], *[None] * 3])
    found = describe(summarize(paths, DATA), "y")["columns"]["photo"]
    assert found == {"type": "image", "rows": 12, "missing": 0.25, "kind": "image"}


def test_too_many_missing_images_are_an_anomaly(tmp_path) -> None:
    summaries = summarize(write(tmp_path, [*raw_rows(8)["photo"], *[None] * 4]), DATA)
    assert not anomalies.find(config_of(), summaries, summaries, None)
    found = anomalies.find(config_of(missing_limits={"photo": 0.1}), summaries, summaries, None)
    assert [(anomaly.column, anomaly.severity) for anomaly in found] == [("photo", "warning")]
    assert "missing in 33.3% of the 12 rows" in found[0].what
    empty = summarize(write(tmp_path, [None] * 12), DATA)
    assert anomalies.find(config_of(), empty, empty, None)[0].severity == "error"


def test_images_have_no_drift() -> None:
    assert config_of().compared_columns == ("size", "town", "y")
    assert config_of().read_columns == ("photo", "size", "town")


def test_images_are_counted_without_being_read(tmp_path, monkeypatch) -> None:
    read: list[list[str]] = []
    run = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda file, size, groups=None, columns=None: (read.append(columns), run(file, size, groups, columns))[1],
    )
    (path,) = write(tmp_path, [*raw_rows(9)["photo"], *[None] * 3])
    summarize([path], DATA)
    assert read == [["size", "town", "y"]]
    pq.write_table(pq.read_table(path), tmp_path / "bare.parquet", write_statistics=False, row_group_size=5)
    read.clear()
    found = summarize([tmp_path / "bare.parquet"], DATA)["photo"]
    assert (found.rows, found.count) == (12, 9)
    assert read == [["photo"]] * 3 + [["size", "town", "y"]]
