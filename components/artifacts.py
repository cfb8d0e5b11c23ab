"""What lies inside each artifact: file names, readers and writers. The only place where steps meet.

| artifact   | made by    | holds |
|------------|------------|-------|
| partition  | ingest     | `rows.parquet`, `rejected.parquet`, `partition.json` |
| snapshot   | ingest     | `snapshot.json`: the partitions, in the order of their time |
| statistics | validate   | `statistics.json` of the rows that a version is trained on |
| examples   | preprocess | TFRecord shards, `heldout*`, `examples.json`, transform, `transform_graph/` |
| model      | train      | `weights.h5`, `optimizer.npz`, `network.json`, `training.json`, transform, `saved_model/` |
| variant    | compress   | `serving/` as the server loads it, `variant.json` |
| chosen     | evaluate   | a variant, `evaluation.json`, `heldout_predictions.npy` |
| recorded   | rehearse   | `recorded_requests.json`: what the server was asked, and must answer |
| version    | deploy     | all of the above that a version of the model store keeps |

A *transform* is `features.json`, `constants.json` and `vocabulary/`. Artifacts that steps hand on also carry
`records/`: the records of all steps that led to them, so that a run that took a step from the cache can report it too.
Work directory: `models/` (store), `data/<model>/` (partitions, snapshots), `runs/<run>/` (records, report),
`requests/<model>/` (the server's log), `checkpoints/<training>/` (trainings under way), `pipeline/` (what KFP writes),
`empty/` (the base of a first run). It is a folder or `s3://bucket/prefix`.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, overload

from components.digests.ahead import ahead
from components.errors import UserError
from components.storage.address import Address, is_local, joined, name_of, parent_of
from components.storage.atomic import atomic_folder as atomic_folder
from components.storage.atomic import write_bytes as write_bytes
from components.storage.fetched import fetched_file
from components.storage.heartbeat import beating
from components.storage.open import open_storage
from components.storage.process import this_process
from components.storage.storage import Storage

MANIFEST = "snapshot.json"
RECORDS = "records"
LEASES = "leases"
HELDOUT = "heldout.parquet"
HELDOUT_EXPECTED = "heldout_expected.npz"
"""`floats`, `ids`, `images` of the first 2,048 held-out rows at most, as the transform's TensorFlow form gives them."""
HELDOUT_PREDICTIONS = "heldout_predictions.npy"
"""Float32, what `Predictor.predict` of the chosen variant gives for the first 2,048 held-out rows at most."""
RECORDED_REQUESTS = "recorded_requests.json"
EXAMPLES = "examples.json"
TRANSFORM_GRAPH = "transform_graph"
FEATURES = "features.json"
CONSTANTS = "constants.json"
VOCABULARY = "vocabulary"
WEIGHTS = "weights.h5"
OPTIMIZER = "optimizer.npz"
NETWORK = "network.json"
TRAINING = "training.json"
SAVED_MODEL = "saved_model"
SERVING = "serving"
LITERT_MODEL = "model.tflite"
SERVING_SPEC = "serving.json"
VARIANT = "variant.json"
EVALUATION = "evaluation.json"
STATISTICS = "statistics.json"
METRICS = "metrics.json"
LINEAGE = "lineage.json"
MODEL_YAML = "model.yaml"
RUN_VARIABLE = "EVERGREEN_RUN"
FRESH_VARIABLE = "EVERGREEN_FRESH"
"""Environment variable: set in a run without cache."""
UNNAMED_RUN = "unnamed"
FIRST_STEP = "ingest"
HEARTBEAT_S = 30.0


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON atomically; NaN and infinity are refused with ValueError."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Readable JSON; NaN and infinity are refused with ValueError."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # names of files may hold what UTF-8 cannot


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Partition:
    """One source file's good rows, as Parquet, in a folder named by the digest of its content."""

    digest: str
    source: str
    rows: int
    unlabelled: int
    rejected: dict[str, int]
    min_time: int | None = None
    max_time: int | None = None
    """Seconds since 1970 of the first and the last row; None without a time column."""

    def rows_path(self, data_root: Address) -> Path:
        """The Parquet file of the good rows, in row groups of 16,384, in the canonical Arrow types; fetched."""
        return fetched_file(self.rows_address(data_root))

    def rejected_path(self, data_root: Address) -> Path:
        """The Parquet file of the rejected rows: `line` int64, `reason` string, `row` string (JSON); fetched."""
        return fetched_file(self.rejected_address(data_root))

    def rows_address(self, data_root: Address) -> Address:
        """Where the good rows lie."""
        return joined(data_root, f"partitions/{self.digest}/rows.parquet")

    def rejected_address(self, data_root: Address) -> Address:
        """Where the rejected rows lie."""
        return joined(data_root, f"partitions/{self.digest}/rejected.parquet")


@dataclass(frozen=True)
class Snapshot:
    """The partitions up to a date: `<data root>/snapshots/<digest>/snapshot.json`."""

    digest: str
    partitions: tuple[Partition, ...]
    data_root: Address
    """`<work>/data/<model>`, where the partitions lie."""

    @property
    def rows(self) -> int:
        """Good rows in all partitions."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def path(self) -> Address:
        """The snapshot's folder."""
        return joined(self.data_root, f"snapshots/{self.digest}")

    def paths(self) -> list[Path]:
        """The Parquet files of all partitions, in order; fetched."""
        return list(ahead(lambda partition: partition.rows_path(self.data_root), self.partitions))

    def write(self) -> None:
        """Writes the manifest unless it is there already."""
        storage = open_storage(self.path)
        if not storage.exists(MANIFEST):
            storage.write(MANIFEST, json_bytes({"partitions": [asdict(part) for part in self.partitions]}))

    @classmethod
    def read(cls, folder: Address, work: Address | None = None) -> "Snapshot":
        """Reads a snapshot.

        Args:
            folder: `<data root>/snapshots/<digest>`, or a copy of it whose path ends like that.
            work: the work directory; where it is a bucket, the partitions lie there, and not beside the folder.
        """
        partitions = json.loads(open_storage(folder).read(MANIFEST))["partitions"]
        root = parent_of(parent_of(folder))
        if work is not None and not is_local(work):
            root = data_root(work, name_of(root))
        return cls(name_of(folder), tuple(Partition(**part) for part in partitions), root)


def data_root(work: Address, name: str) -> Address:
    """The folder of a model's partitions and snapshots."""
    return joined(work, f"data/{name}")


@dataclass(frozen=True)
class Examples:
    """The description of a set of TFRecords (`examples.json`).

    Each record is a tf.Example with `floats` (F float32), `ids` (I int64), with images `images` (one bytes: the pixels,
    row by row) and `label` (one float32: the class's index, or the number to predict).
    """

    float_names: tuple[str, ...]
    id_names: tuple[str, ...]
    id_sizes: tuple[int, ...]
    task: str
    classes: tuple[Any, ...]
    label_mean: float
    label_std: float
    """Moments of the training labels, for regression; 0 and 1 otherwise."""
    rows: dict[str, int]
    """Examples by part: `train` (with `replay` counted among them), `validation`, `heldout`; and `replay`."""
    shards: dict[str, tuple[str, ...]]
    """File names below the artifact, for `train` and `validation`."""
    trained_until: int | None
    """Seconds since 1970: the time from which on rows were left to validation; None without a time column."""
    partitions: tuple[str, ...]
    """Digests of the partitions that the examples were made from."""
    base_version: int | None
    """The version whose constants were kept and whose weights training starts from; None for a cold start."""
    start_reason: str
    """Why the start is warm or cold, in one sentence."""
    split: str = ""
    """What a split without a time column depends on; a base with another split may have trained on held-out rows."""
    image_shape: tuple[int, ...] = ()
    """Height, width and channels of `images`; empty without."""

    def write(self, folder: Path) -> None:
        """Writes `examples.json`."""
        write_json(folder / EXAMPLES, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Examples":
        """Reads `examples.json`."""
        raw = read_json(folder / EXAMPLES)
        for name in ("float_names", "id_names", "id_sizes", "classes", "partitions"):
            raw[name] = tuple(raw[name])
        raw["image_shape"] = tuple(raw.get("image_shape", ()))
        raw["shards"] = {part: tuple(names) for part, names in raw["shards"].items()}
        return cls(**raw)

    def paths(self, folder: Path, part: str) -> list[Path]:
        """The shards of a part, in order."""
        return [folder / name for name in self.shards[part]]


@dataclass(frozen=True)
class Question:
    """One instance with the answer that a server must give."""

    name: str
    """What it is called in a sentence."""
    instance: Mapping[str, Any]
    expected: float | list[float]
    source: str
    """Who says so, in half a sentence."""


def write_questions(folder: Path, questions: Iterable[Question]) -> None:
    """Writes `recorded_requests.json`."""
    write_json(folder / RECORDED_REQUESTS, {"requests": [asdict(question) for question in questions]})


def parse_questions(content: bytes) -> list[Question]:
    """Reads what `write_questions` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is damaged.
    """
    return [Question(**one) for one in json.loads(content)["requests"]]


@dataclass
class Record:
    """What one step did in one run; `details` are the step's own, as its module documents them."""

    step: str
    run: str
    started_s: float
    """Seconds since 1970."""
    seconds: float = 0.0
    startup_s: float | None = None
    """From the start of the process to the start of the step's work: interpreter, KFP, imports."""
    status: str = "running"
    """`running`, `done` or `failed`."""
    error: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def run_name() -> str:
    """The run that this process belongs to.

    It comes by environment variable and not by parameter, because a parameter that differs in every run would make
    every step miss the cache.
    """
    return os.environ.get(RUN_VARIABLE) or UNNAMED_RUN


@overload
def run_folder(work: Path, run: str) -> Path: ...


@overload
def run_folder(work: Address, run: str) -> Address: ...


def run_folder(work: Address, run: str) -> Address:
    """The folder of one run's records and report."""
    return joined(work, f"runs/{run}")


def read_records(folder: Address) -> dict[str, Record]:
    """The records in a folder by step (`compress-<recipe>` for each recipe of compress)."""
    storage = open_storage(folder)
    names = [name for name in storage.names(RECORDS) if _is_record(name)]
    return {name[: -len(".json")]: Record(**json.loads(storage.read(f"{RECORDS}/{name}"))) for name in names}


def _is_record(name: str) -> bool:
    """Whether it is no file that is being written."""
    return name.endswith(".json") and not name.startswith(".")


@overload
def request_log(work: Path, name: str) -> Path: ...


@overload
def request_log(work: Address, name: str) -> Address: ...


def request_log(work: Address, name: str) -> Address:
    """The folder of the requests that the server logged for a model.

    It holds `*.jsonl`, whose names sort by the time they were begun. Each line is one instance: `{"time_s": seconds
    since 1970, "version": number or null, "instance": {column: value}, "prediction": number or numbers}`.
    """
    return joined(work, f"requests/{name}")


def read_requests(folder: Address, most: int) -> list[dict[str, Any]]:
    """The lines of the newest files of a request log, oldest first; a line that a crash tore is left out.

    Args:
        folder: `request_log`; it need not exist.
        most: lines to read at most.
    """
    storage = open_storage(folder)
    newest: list[dict[str, Any]] = []
    for name in reversed([name for name in storage.names() if name.endswith(".jsonl")]):
        try:
            lines = storage.read(name).splitlines()[-(most - len(newest)) :]
        except FileNotFoundError:  # the server has just freed it
            continue
        newest[:0] = [line for raw in lines if (line := _request(raw)) is not None]
        if len(newest) >= most:
            break
    return sorted(newest, key=lambda line: line["time_s"])  # several servers may write at once


def _request(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    is_whole = isinstance(line, dict) and isinstance(line.get("instance"), dict) and "time_s" in line
    return line if is_whole else None


@contextlib.contextmanager
def recorded(
    step: str, work: Address, inputs: Iterable[Path] = (), output: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Records what a step does, while it does it and when it fails.

    Yields the record's `details`, to be filled by the step. Writes `<run folder>/records/<step>.json`; when the step is
    done also `<output>/records/`, with the records that the inputs carry; these are copied to the run folder too where
    this run has none of that step, because it took that step from the cache. While the step is at work, a lease with a
    heartbeat lies at `<run folder>/leases/<step>.json`, so that cleanup leaves what it may use.

    Args:
        step: the step's name, `compress-<recipe>` for compress.
        work: the work directory.
        inputs: artifacts that may carry records.
        output: the artifact made, a folder, which must exist when the step is done.
    """
    storage = open_storage(run_folder(work, run_name()))
    if step == FIRST_STEP and run_name() == UNNAMED_RUN:  # what the last run without a name left
        storage.delete(f"{RECORDS}/{name}" for name in storage.names(RECORDS) if _is_record(name))
    record = Record(step, run_name(), time.time(), startup_s=_process_age_s())
    carried = {path.name: path.read_bytes() for artifact in inputs for path in (artifact / RECORDS).glob("*.json")}
    for name in sorted(set(carried) - set(storage.names(RECORDS) if carried else ())):
        storage.write(f"{RECORDS}/{name}", carried[name])
    key = f"{RECORDS}/{step}.json"
    storage.write(key, json_bytes(asdict(record)))
    try:
        with _leased(step, storage):
            yield record.details
        record.status = "done"
    except BaseException as error:
        name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        record.status, record.error = "failed", f"{name}{error}"
        raise
    finally:
        record.seconds = time.time() - record.started_s
        record.details = _plain(record.details)
        storage.write(key, json_bytes(asdict(record)))
    if output is not None:
        for name, content in carried.items():
            write_bytes(output / RECORDS / name, content)
        write_json(output / RECORDS / f"{step}.json", asdict(record))


@contextlib.contextmanager
def _leased(step: str, storage: Storage) -> Iterator[None]:
    lease = f"{LEASES}/{step}.json"

    def beat() -> None:
        storage.write(lease, json_bytes({**this_process(), "heartbeat_s": time.time()}))

    try:
        with beating(beat, HEARTBEAT_S):
            yield
    finally:
        storage.delete([lease])


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: numpy's numbers as Python's, and NaN and infinity, which JSON lacks, as null.

    A figure that came out wrong must not keep a record, and with it the error of a failed step, from being written.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _process_age_s() -> float | None:
    """Seconds since this process started; None where the system does not tell (`/proc` is Linux's)."""
    try:
        started_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return uptime_s - started_ticks / os.sysconf("SC_CLK_TCK")
