"""The built-in data: complete, the same every time, and free of what is known only after departure."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from components.features.columns import Data
from components.ingest.config import IngestConfig
from components.ingest.ingest import ingest
from components.schema import parse

MODEL = Path(__file__).parents[2] / "models" / "flights"
MEASURED_LATER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


def load_script():
    spec = importlib.util.spec_from_file_location("flights_data", MODEL / "data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("work") / "source" / "flights"
    subprocess.run([sys.executable, MODEL / "data.py", target], check=True)
    return target


@pytest.fixture(scope="session")
def flights(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))


def model_yaml() -> dict:
    return yaml.safe_load((MODEL / "model.yaml").read_text())


def test_twelve_months_with_all_rows(folder: Path, flights: pa.Table) -> None:
    assert [path.name for path in sorted(folder.glob("*.parquet"))] == [
        f"flights-2013-{month:02}.parquet" for month in range(1, 13)
    ]
    for month, path in enumerate(sorted(folder.glob("*.parquet")), 1):
        scheduled = pq.read_table(path)["scheduled"]
        assert pc.unique(pc.month(scheduled)).to_pylist() == [month]
        assert scheduled.combine_chunks().equals(scheduled.take(pc.sort_indices(scheduled)).combine_chunks())
    assert flights.num_rows == 336_776
    assert flights["late"].null_count == 9_430
    assert pc.mean(flights["late"]).as_py() == pytest.approx(0.23715, abs=1e-5)
    assert len(pc.unique(flights["flight_id"])) == 336_776


def test_columns_are_the_declared_ones_and_none_measured_later(flights: pa.Table) -> None:
    assert set(flights.column_names) == set(model_yaml()["data"]["columns"])
    assert not set(flights.column_names) & MEASURED_LATER


def test_no_column_tells_the_label(flights: pa.Table) -> None:
    late = flights["late"].to_numpy()
    for name in set(flights.column_names) - {"late"}:
        if not pa.types.is_string(flights[name].type) and name != "scheduled":
            known = flights[name].cast(pa.float64(), safe=False).to_numpy()
            usable = np.isfinite(known) & np.isfinite(late)
            assert abs(np.corrcoef(known[usable], late[usable])[0, 1]) < 0.3, name


def test_a_known_flight(flights: pa.Table) -> None:
    (flight,) = flights.filter(pc.equal(flights["flight_id"], "2013-01-01-UA-1545-EWR")).to_pylist()
    expected = {
        "carrier": "UA",
        "dest": "IAH",
        "tailnum": "N14228",
        "hour": 5,
        "minute": 15,
        "arrival_minute": 8 * 60 + 19,
        "scheduled_minutes": 4 * 60 + 4,  # 5:15 to 8:19, one zone further west
        "distance": 1400,
        "temp": 39.02,
        "plane_age": 2013 - 1999,
        "weekend": False,
        "near_holiday": True,
        "legs_before": 0,
        "minutes_since_leg": None,
        "late": 0,
    }
    assert {name: flight[name] for name in expected} == expected


def test_traffic_is_that_of_the_schedule(flights: pa.Table) -> None:
    minutes = flights["scheduled"].cast(pa.int64()).to_numpy() // 60_000_000
    origin, tail = flights["origin"].to_numpy(), flights["tailnum"].to_pylist()
    day = minutes // 1440
    for row in range(0, len(minutes), 17_011):
        near = slice(max(row - 3000, 0), row + 3000)
        same_origin = origin[near] == origin[row]
        in_hour = same_origin & (minutes[near] // 60 == minutes[row] // 60)
        before = same_origin & (minutes[near] > minutes[row] - 61) & (minutes[near] <= minutes[row])
        assert flights["origin_departures"][row].as_py() == in_hour.sum()
        assert flights["origin_departures_before"][row].as_py() == before.sum() - 1
        if tail[row] is not None:
            legs = [other for other in range(row) if tail[other] == tail[row] and day[other] == day[row]]
            assert flights["legs_before"][row].as_py() >= len(legs) - 1


def test_scheduled_minutes_fit_the_distance(flights: pa.Table) -> None:
    minutes, miles = flights["scheduled_minutes"].to_numpy(), flights["distance"].to_numpy()
    assert np.corrcoef(minutes, miles)[0, 1] > 0.99
    on_the_ground = minutes - miles / 8
    assert on_the_ground.min() > 0 and on_the_ground.max() < 160


def test_complete_data_is_left_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    script, started = load_script(), time.perf_counter()
    script.lay_out(folder)
    assert time.perf_counter() - started < 0.2
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_incomplete_data_is_mended_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = tmp_path / "flights-2013-07.parquet"
    victim.write_bytes(victim.read_bytes()[:1000])
    (tmp_path / "notes.txt").write_text("mine")
    load_script().lay_out(tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = load_script()
    monkeypatch.setattr(script, "PACKAGE", "nycflights99")
    with pytest.raises(FileNotFoundError, match="install it with pip install nycflights99"):
        script.lay_out(tmp_path)


def test_every_row_passes_the_declared_checks(folder: Path, tmp_path: Path) -> None:
    raw = model_yaml()
    text = json.dumps({"data": raw["data"], "ingest": {"source": str(folder / "*.parquet"), "max_bad_rows": 0.0}})
    config = parse(IngestConfig, text)
    snapshot = ingest(config, tmp_path, "flights", "")
    (record,) = tmp_path.rglob("ingest.json")
    details = json.loads(record.read_text())["details"]
    assert (details["rows"], details["unlabelled"], details["rejected"]) == (336_776, 9_430, {})
    assert Path(snapshot).is_dir()
    assert isinstance(config.data, Data)
