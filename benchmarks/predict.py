"""Bulk prediction of the flights, repeated, beside the exported SavedModel.

    python benchmarks/predict.py [--work .evergreen] [--rows 20000000] [--repeats 3]

Needs a work directory with models/flights in service, as `make run` leaves it.

Claims: the whole command `python -m components.predict`, timed from outside from its start to its end, Parquet to
Parquet, predicts at least 500,000 rows a second on two cores, and at least 3 times the rows per second of the exported
SavedModel's raw signature called in batches of 4,096 with arrays that lie in memory already. Beside them stands the
same job done with the SavedModel: read, call, write, its start not counted. Ours and the SavedModel take turns, and the
best of each is compared: what else happens on a machine only ever slows it down. Starting takes three seconds, mostly
imports, so more rows come out faster.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

MODEL = "flights"
BATCH = 4096
ROW_GROUP_ROWS = 131_072
LEAST_RATIO, LEAST_ROWS_PER_S = 3.0, 500_000
OURS, SIGNATURE, JOB = "components.predict", "SavedModel: signature alone", "SavedModel: read, call, write"


def version_in_service(work: Path) -> Any:
    from components.store import ModelStore

    version = ModelStore(work, MODEL).pointed("serving")
    if version is None:
        raise SystemExit(f"no version of {MODEL} is in service in {work}; run `make run` or give --work")
    return version


def lay_out(work: Path, rows: int, folder: Path) -> int:
    """Writes all flights to one file, and repeats it until there are enough rows; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted((work / "data" / MODEL / "partitions").glob("*/rows.parquet"))
    year = pa.concat_tables([pq.read_table(path) for path in paths])
    copies = math.ceil(rows / year.num_rows)
    first = folder / "flights-00.parquet"
    pq.write_table(year, first, row_group_size=ROW_GROUP_ROWS, compression="zstd")
    for number in range(1, copies):
        shutil.copy(first, folder / f"flights-{number:02d}.parquet")
    return copies * year.num_rows


def time_ours(work: Path, files: Path, output: Path, rows: int) -> float:
    """Rows per second of the whole command."""
    import pyarrow.parquet as pq

    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "components.predict", MODEL, "--work", str(work)]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--input", f"{files}/*.parquet", "--output", str(output)],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    written = sum(pq.read_metadata(path).num_rows for path in output.glob("part-*"))
    if written != rows:
        raise SystemExit(f"{rows} rows went in, {written} came out")
    return rows / seconds


def time_saved_model(work: Path, files: Path, output: Path) -> dict[str, float]:
    """Rows per second in a process of its own."""
    command = [sys.executable, __file__, "--work", str(work), "--saved-model", str(files), "--output", str(output)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def saved_model(work: Path, files: Path, output: Path) -> None:
    """Prints the rows per second of the signature alone and of the job, on one of the files."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

    # isort: split
    import tensorflow as tf

    from components.features.arrow import dense
    from components.features.transform import Transform

    version = version_in_service(work)
    signature = tf.saved_model.load(str(version.path / "saved_model")).signatures["serving_default"]
    transform = Transform.read(version.path)
    names = list(signature.structured_input_signature[1])  # the flights' columns are called as the inputs are
    path = min(files.glob("*.parquet"))

    def read() -> tuple[pa.Table, dict[str, np.ndarray]]:
        table = pq.read_table(path, columns=[*transform.source_columns, *transform.data.key])
        return table, dense(table, transform.data, transform.source_columns)

    def call(raw: dict[str, np.ndarray], rows: int) -> list[np.ndarray]:
        starts = range(0, rows, BATCH)
        batches = ({name: tf.constant(raw[name][start : start + BATCH]) for name in names} for start in starts)
        return [signature(**batch)["output"].numpy() for batch in batches]

    table, raw = read()
    call(raw, 2 * BATCH)  # traced and warm
    start = time.perf_counter()
    call(raw, table.num_rows)
    called = time.perf_counter()
    table, raw = read()
    predictions = np.concatenate(call(raw, table.num_rows))[:, 0]
    keys = {name: table.column(name) for name in transform.data.key}
    pq.write_table(pa.table({**keys, "prediction": predictions}), output)
    ended = time.perf_counter()
    print(json.dumps({SIGNATURE: table.num_rows / (called - start), JOB: table.num_rows / (ended - called)}))


def report(speeds: dict[str, list[float]], rows: int) -> tuple[Table, bool]:
    best = {way: max(found) for way, found in speeds.items()}
    ours, signature = best[OURS], best[SIGNATURE]
    holds = ours >= LEAST_ROWS_PER_S and ours >= LEAST_RATIO * signature
    table = Table("way", "rows/s", "lowest", "ours is", title=f"bulk prediction of {rows:,} rows")
    for way, found in speeds.items():
        numbers = (best[way], min(found))
        table.add_row(way, *(f"{number:,.0f}" for number in numbers), f"{ours / best[way]:.1f} times")
    table.caption = (
        f"at least {LEAST_RATIO:.0f} times the SavedModel's signature: {ours / signature:.2f}; "
        f"at least {LEAST_ROWS_PER_S:,} rows/s: {ours:,.0f}; {'holds' if holds else 'FAILS'}"
    )
    return table, holds


def compare(work: Path, rows: int, repeats: int) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        count = lay_out(work, rows, files)
        speeds: dict[str, list[float]] = {OURS: [], SIGNATURE: [], JOB: []}
        for _ in range(repeats):
            speeds[OURS].append(time_ours(work, files, Path(scratch) / "output", count))
            for way, speed in time_saved_model(work, files, Path(scratch) / "other.parquet").items():
                speeds[way].append(speed)
        table, holds = report(speeds, count)
        Console().print(table)
        return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".evergreen"), help="work directory (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows, at least (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--saved-model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    version_in_service(work)
    if arguments.saved_model:
        saved_model(work, arguments.saved_model, arguments.output)
    elif not compare(work, arguments.rows, arguments.repeats):
        sys.exit(1)


if __name__ == "__main__":
    main()
