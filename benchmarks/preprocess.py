"""The whole of preprocess on models/flights beside the same work in TensorFlow Transform the way tutorials do it.

    python benchmarks/preprocess.py [--until DATE] [--work DIR]

Claims: at least 4 times the rows per second, and under 30 s for all rows, on two cores. Both are timed as processes of
their own, from start to end, on the same rows: all of them are analyzed, transformed and written as gzip TFRecords.

The tutorials' way: lines of a CSV file become dicts, one z-score or vocabulary is learned for each column, and each
dict is encoded by itself. It has the same features; those that learn nothing are computed by the same ops.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from components.config import load  # noqa: E402
from components.features.columns import ColumnType  # noqa: E402
from components.ingest.config import IngestConfig  # noqa: E402
from components.preprocess.config import PreprocessConfig  # noqa: E402
from components.schema import parse  # noqa: E402

MODEL = ROOT / "models" / "flights"
# All rows are trained on, so that both ways analyze and write the same.
ALL_ROWS = ("preprocess.validation_days=0", "preprocess.heldout_days=0")
OURS, TUTORIAL = "preprocess", "tutorial"
LEAST_RATIO = 4.0
LIMIT_S = 30.0


@dataclass(frozen=True)
class Timing:
    """One way's process, seen from outside."""

    way: str
    rows: int
    seconds: float
    cpu_s: float


def config() -> PreprocessConfig:
    return parse(PreprocessConfig, load(MODEL, ALL_ROWS).for_step("preprocess"))


def make_snapshot(work: Path, until: str) -> Path:
    """Lays out the flights and ingests them."""
    from components.ingest.ingest import ingest

    subprocess.run([sys.executable, str(MODEL / "data.py"), str(work / "source" / "flights")], check=True)
    return Path(ingest(parse(IngestConfig, load(MODEL).for_step("ingest")), work, "flights", until))


def write_csv(snapshot: Path, target: Path) -> int:
    """Writes the snapshot's labelled rows as lines, times as seconds; returns their number."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    from components.artifacts import Snapshot

    data = config().data
    table = pa.concat_tables([pq.read_table(path) for path in Snapshot.read(snapshot).paths()])
    table = table.filter(pc.is_valid(table[data.label]))
    for place, (name, column) in enumerate(data.columns.items()):
        if column.type == "timestamp":
            table = table.set_column(place, name, pc.divide(table[name].cast(pa.int64()), 1_000_000))
        elif column.type == "boolean":
            table = table.set_column(place, name, table[name].cast(pa.int64()))
    pyarrow.csv.write_csv(table, target)
    return table.num_rows


def run_preprocess(work: Path, snapshot: Path) -> None:
    """The step itself, as its task calls it."""
    from components.preprocess.preprocess import preprocess

    base = work / "empty"
    base.mkdir(exist_ok=True)
    preprocess(snapshot, base, config(), work, work / OURS)


def run_tutorial(work: Path) -> None:
    """CSV lines → dicts → TensorFlow Transform → dicts → tf.Examples → TFRecords."""
    import apache_beam as beam
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # type: ignore[attr-defined]
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

    columns = used_columns()
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(feature_spec(columns)))
    with (
        tempfile.TemporaryDirectory() as scratch,
        tft_beam.Context(temp_dir=scratch),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        lines = pipeline | beam.io.ReadFromText(str(work / "rows.csv"), skip_header_lines=1)
        rows = lines | beam.Map(line_parser(list(config().data.columns), columns))
        transform = tft_beam.AnalyzeAndTransformDataset(preprocessing_fn())
        (transformed, known), transform_fn = (rows, metadata) | transform
        encoded = transformed | beam.Map(tft.coders.ExampleProtoCoder(known.schema).encode)
        _ = encoded | beam.io.WriteToTFRecord(str(work / TUTORIAL / "train"), file_name_suffix=".tfrecord.gz")
        _ = transform_fn | tft_beam.WriteTransformFn(str(work / TUTORIAL))  # type: ignore[attr-defined]


def used_columns() -> dict[str, ColumnType]:
    """Column → type of those that a feature reads, and of the label."""
    declared = config()
    names = {name for feature in declared.features for name in feature.source_columns} | {declared.data.label}
    return {name: column.type for name, column in declared.data.columns.items() if name in names}


def feature_spec(columns: dict[str, ColumnType]) -> dict[str, Any]:
    import tensorflow as tf

    from components.features.columns_tf import TENSOR_TYPES

    return {name: tf.io.FixedLenFeature([], TENSOR_TYPES[kind]) for name, kind in columns.items()}


def line_parser(header: list[str], columns: Mapping[str, str]) -> Callable[[str], dict[str, Any]]:
    """A line of the CSV file → a dict of the columns."""
    from components.features.columns import MISSING_INTEGER

    readers: dict[str, Callable[[str], Any]] = {
        "string": str,
        "float": lambda text: float(text) if text else float("nan"),
    }

    def integer(text: str) -> int:
        return int(text) if text else MISSING_INTEGER

    def parse_line(line: str) -> dict[str, Any]:
        values = dict(zip(header, next(csv.reader([line]))))
        return {name: readers.get(kind, integer)(values[name]) for name, kind in columns.items()}

    return parse_line


def preprocessing_fn() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """One analyzer for each feature that learns."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from components.features.declaration import Nothing
    from components.features.prepare_tf import prepare
    from components.features.transform_tf import GRAPHS

    declared = config()

    def learned(feature: Any, raw: dict[str, Any]) -> Any:
        values = prepare(feature, raw, declared.data)
        if feature.learns == "vocabulary":
            return tft.compute_and_apply_vocabulary(
                values,
                top_k=feature.max_size,
                frequency_threshold=feature.min_count,
                num_oov_buckets=feature.oov_buckets,
                vocab_filename=feature.name,
            )
        if feature.learns == "bounds":
            return tft.bucketize(tf.cast(values, tf.float32), feature.buckets)
        scaled = tft.scale_to_z_score(tf.cast(values, tf.float32))
        return tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled)

    def transform(raw: dict[str, Any]) -> dict[str, Any]:
        outputs = {declared.data.label: raw[declared.data.label]}
        for feature in declared.features:
            if feature.learns != "nothing":
                outputs[feature.name] = learned(feature, raw)
                if getattr(feature, "indicator", False):
                    missing = tf.math.is_nan(prepare(feature, raw, declared.data))
                    outputs[f"{feature.name}_missing"] = tf.cast(missing, tf.float32)
                continue
            floats, ids = GRAPHS[feature.kind](feature, Nothing())(raw)
            if feature.float_width:
                outputs[f"{feature.name}_floats"] = floats
            if feature.id_sizes(Nothing()):
                outputs[f"{feature.name}_ids"] = ids
        return outputs

    return transform


def timed(way: str, work: Path, snapshot: Path, rows: int) -> Timing:
    """Runs one way as a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, __file__, "--work", str(work), "--snapshot", str(snapshot), "--way", way]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(way, rows, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def written_rows(work: Path, way: str) -> int:
    import tensorflow as tf

    import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

    files = [str(path) for path in (work / way).glob("train*.tfrecord.gz")]
    return sum(1 for _ in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(1024).unbatch())


def report(ours: Timing, tutorial: Timing) -> Table:
    ratio = tutorial.seconds / ours.seconds * ours.rows / tutorial.rows
    table = Table("way", "rows", "seconds", "CPU seconds", "rows/s", "ratio", title="preprocess")
    for timing, times in ((tutorial, 1.0), (ours, ratio)):
        speed = f"{timing.rows / timing.seconds:,.0f}"
        cells = (f"{timing.rows:,}", f"{timing.seconds:.1f}", f"{timing.cpu_s:.1f}", speed, f"{times:.1f}")
        table.add_row(timing.way, *cells)
    table.caption = (
        f"at least {LEAST_RATIO:.0f} times: {'holds' if ratio >= LEAST_RATIO else 'FAILS'}; "
        f"under {LIMIT_S:.0f} s: {'holds' if ours.seconds < LIMIT_S else 'FAILS'}"
    )
    return table


def compare(work: Path, until: str) -> None:
    snapshot = make_snapshot(work, until)
    rows = write_csv(snapshot, work / "rows.csv")
    timings = [timed(way, work, snapshot, rows) for way in (OURS, TUTORIAL)]
    written = {way: written_rows(work, way) for way in (OURS, TUTORIAL)}
    if set(written.values()) != {rows}:
        raise SystemExit(f"{rows} rows went in, {json.dumps(written)} came out")
    Console().print(report(*timings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", default="", help="leave out the files after this date, for a quick try")
    parser.add_argument("--work", type=Path, help="where everything lies; default: a folder that is removed")
    parser.add_argument("--way", choices=(OURS, TUTORIAL), help=argparse.SUPPRESS)
    parser.add_argument("--snapshot", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way == OURS:
        run_preprocess(arguments.work, arguments.snapshot)
    elif arguments.way == TUTORIAL:
        run_tutorial(arguments.work)
    elif arguments.work:
        compare(arguments.work, arguments.until)
    else:
        with tempfile.TemporaryDirectory() as work:
            compare(Path(work), arguments.until)


if __name__ == "__main__":
    main()
