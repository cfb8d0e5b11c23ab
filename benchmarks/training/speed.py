"""Examples per second of the step's training process beside a pipeline as tutorials write it.

Ours is `python -m components.train` on an artifact of preprocess. The tutorials' is Keras `fit` on the same examples,
written with one scalar feature for each column, that are read as the Keras guide to TFRecords does: `TFRecordDataset`,
`map(parse)` one by one, `shuffle`, `batch`, `prefetch`. The network, the batch, the epochs and the validation after
each epoch are the same; both are timed in a process of their own, from before the first file is opened to the end of
the last validation, tracing included and imports not.

    python -m benchmarks.training.speed EXAMPLES RECORDS --batch N --epochs N

is the tutorials' process; it prints one line of JSON.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.claims import Claim, at_least
from benchmarks.training.flights import ALL_MONTHS, Flights, train_config
from benchmarks.training.processes import ROOT, paths_in, run
from components.artifacts import Examples
from components.learning import networks
from components.learning.input import LABEL, READ_ROWS, Columns, Reader
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import FLOATS, IDS, NetworkSpec

EPOCHS = 3
BATCH = 1024
LEAST_RATIO = 5.0
SHUFFLED = 10_000
PARTS = ("train", "validation")


def measure(flights: Flights, rounds: int) -> tuple[list[Table], list[Claim]]:
    """Both ways in turns."""
    folder = flights.examples("all", ALL_MONTHS)
    records = flights.work / "named"
    _write_named(folder, records)
    ours, tutorial = [], []
    for _ in range(rounds):
        ours.append(_ours(flights, folder))
        tutorial.append(_in_process(folder, records))
    seen = EPOCHS * Examples.read(folder).rows["train"]
    ratio = min(tutorial) / min(ours)
    table = Table("way", "examples", "seconds", "examples/s", "times", title="speed: the best round of each")
    for way, seconds in (("tutorial", tutorial), ("Evergreen", ours)):
        best = min(seconds)
        table.add_row(way, f"{seen:,}", f"{best:.1f}", f"{seen / best:,.0f}", f"{min(tutorial) / best:.1f}")
    return [table], [at_least("speed, times that of the tutorial pipeline", ratio, LEAST_RATIO, ".1f")]


def _ours(flights: Flights, folder: Path) -> float:
    """Seconds of a training of EPOCHS epochs."""
    config = train_config(batch_size=BATCH, epochs=EPOCHS, patience=EPOCHS, refit=False)
    place = flights.work / "speed"
    try:
        done = run(paths_in(place, folder, flights.empty), config)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    assert sum(epoch["examples"] for epoch in done["history"]) == EPOCHS * Examples.read(folder).rows["train"]
    return float(done["seconds"])


def _in_process(folder: Path, records: Path) -> float:
    """Seconds of the tutorials' process."""
    arguments = [str(folder), str(records), "--batch", str(BATCH), "--epochs", str(EPOCHS)]
    command = [sys.executable, "-m", "benchmarks.training.speed", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _names(columns: Columns) -> dict[str, list[str]]:
    """The name of each scalar of the packed columns."""
    return {part: [f"{part}_{place}" for place in range(values.shape[1])] for part, values in columns.items()}


def _write_named(folder: Path, records: Path) -> None:
    """The examples of the artifact once more, one scalar feature for each column, in as many files."""
    import pyarrow as pa
    from tfx_bsl.coders.example_coder import RecordBatchToExamples

    from components.preprocess.write import write_records

    examples = Examples.read(folder)
    records.mkdir(exist_ok=True)
    for part in PARTS:
        columns = Reader(folder, examples, (part,)).columns()
        scalars = {
            name: columns[of][:, place] for of, names in _names(columns).items() for place, name in enumerate(names)
        }
        pieces = np.array_split(np.arange(len(columns[LABEL])), len(examples.shards[part]))
        for name, rows in zip(examples.shards[part], pieces):
            ends = np.arange(len(rows) + 1)
            lists = {
                key: pa.LargeListArray.from_arrays(
                    ends, values[rows].astype(np.int64 if values.dtype.kind == "i" else np.float32)
                )
                for key, values in scalars.items()
            }
            if not (records / name).exists():
                write_records(str(records / name), RecordBatchToExamples(pa.RecordBatch.from_pydict(lists)))


def _tutorial(folder: Path, records: Path, batch: int, epochs: int) -> float:
    """Trains as tutorials do; seconds."""
    examples = Examples.read(folder)
    names = _names(Reader(folder, examples, ("validation",)).columns(1))
    network = _named_network(NetworkSpec.of(train_config().network, examples), names)
    network.compile("adam", "binary_crossentropy", metrics=[tf_keras.metrics.AUC(num_thresholds=1000)])
    start_s = time.perf_counter()
    files = {part: [str(path) for path in examples.paths(records, part)] for part in PARTS}
    training = _parsed(files["train"], names).shuffle(SHUFFLED).batch(batch).prefetch(tf.data.AUTOTUNE)
    validation = _parsed(files["validation"], names).batch(READ_ROWS).prefetch(tf.data.AUTOTUNE)
    network.fit(training, validation_data=validation, epochs=epochs, verbose=0)
    return time.perf_counter() - start_s


def _parsed(files: list[str], names: dict[str, list[str]]) -> tf.data.Dataset:
    types = {FLOATS: tf.float32, IDS: tf.int64, LABEL: tf.float32}
    described = {name: tf.io.FixedLenFeature([1], types[part]) for part, of in names.items() for name in of}

    def parse(record: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        inputs = tf.io.parse_single_example(record, described)
        return inputs, inputs.pop(names[LABEL][0])

    return tf.data.TFRecordDataset(files, compression_type="GZIP").map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _named_network(spec: NetworkSpec, names: dict[str, list[str]]) -> tf_keras.Model:
    """The same network with an input for each column."""
    types = {FLOATS: tf.float32, IDS: tf.int64}
    inputs = {name: tf_keras.Input((1,), dtype=types[part], name=name) for part in types for name in names[part]}
    packed = {part: tf_keras.layers.Concatenate()([inputs[name] for name in names[part]]) for part in types}
    packed[IDS] = tf.cast(packed[IDS], tf.int32)
    return tf_keras.Model(inputs, networks.build(spec)(packed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="artifact of preprocess")
    parser.add_argument("records", type=Path, help="the same examples with named features")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    arguments = parser.parse_args()
    seconds = _tutorial(arguments.examples, arguments.records, arguments.batch, arguments.epochs)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
