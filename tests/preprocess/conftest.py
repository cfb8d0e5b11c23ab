"""What preprocess makes of the parcels, cold and warm."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import artifacts
from components.artifacts import Snapshot
from components.preprocess.config import PreprocessConfig
from tests.preprocess.parcels import Made, parcels, section, snapshot, version

Maker = Callable[[Path, Path, PreprocessConfig, Path], Made]


@pytest.fixture(scope="session")
def make() -> Maker:
    from components.preprocess.preprocess import preprocess

    def run(made_from: Path, base: Path, config: PreprocessConfig, work: Path) -> Made:
        preprocess(made_from, base, config, work, work / "examples")
        paths = Snapshot.read(made_from).paths()
        details = artifacts.read_records(work / "examples")["preprocess"].details
        return Made(work / "examples", pa.concat_tables(map(pq.read_table, paths)), config, details)

    return run


@pytest.fixture(scope="session")
def january() -> pa.Table:
    """2,000 rows of days 0 to 40; the last 20 of them have no time."""
    table = parcels(2000, 0, 40)
    times = pa.concat_arrays([table["time"].combine_chunks()[:-20], pa.nulls(20, pa.timestamp("us"))])
    return table.set_column(0, "time", times)


@pytest.fixture(scope="session")
def february() -> pa.Table:
    """700 rows of days 36 to 50, with towns that were never seen before."""
    return parcels(700, 36, 14, serial=2000, new_towns=("Newtown", "naïve"))


@pytest.fixture(scope="session")
def cold(make: Maker, january: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first run: days 0 to 30 to train on, 30 to 34 to validate, 34 to 40 held out."""
    work = tmp_path_factory.mktemp("cold")
    (work / "empty").mkdir()
    made_from = snapshot(work / "data", "first", {"aa": january})
    return make(made_from, work / "empty", section(validation_days=4, heldout_days=6, rows_per_shard=400), work)


@pytest.fixture(scope="session")
def warm(
    make: Maker, cold: Made, january: pa.Table, february: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """The run after the first: days 30 to 40 are new, of those before some are replayed."""
    work = tmp_path_factory.mktemp("warm")
    base = version(work / "base", 7, cold.folder, cold.examples.trained_until, ("aa",))
    made_from = snapshot(work / "data", "second", {"aa": january, "bb": february})
    config = section(validation_days=4, heldout_days=6, rows_per_shard=400, replay_share=0.3)
    return make(made_from, base, config, work)
