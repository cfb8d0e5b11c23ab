"""What is to be predicted from exactly what: the plan that makes a call restartable."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from components import artifacts
from components.errors import UserError
from components.features.arrow import ARROW_TYPES
from components.features.columns import ColumnType, Data
from components.features.convert import convert
from components.features.transform import Transform
from components.predict import read_csv, read_parquet
from components.predict.config import check_columns, prediction_names
from components.predict.inputs import Input
from components.predict.rows import Wanted
from components.predict.units import Unit
from components.schema import canonical_json
from components.store import CHECKSUMS, Version, verify

FORMAT = 1
"""To be raised when predictions are written otherwise than before, so that no folder mixes two forms."""
SHARD = "part-{:05d}-of-{:05d}.parquet"


@dataclass(frozen=True)
class Job:
    """Inputs, a version, and the shards that come of them. Equal jobs give equal files."""

    model: str
    version: Version
    inputs: tuple[Input, ...]
    wanted: Wanted
    schema: pa.Schema
    """Of the output."""
    absent: dict[str, tuple[str, ...]]
    """Path → columns that the model reads and the file has not; they count as missing."""
    units: tuple[Unit, ...]

    @property
    def serving(self) -> Path:
        """The serving artifact."""
        return self.version.path / artifacts.SERVING

    @cached_property
    def shards(self) -> dict[str, Unit]:
        """The files of the output, by name."""
        return {SHARD.format(place, len(self.units)): unit for place, unit in enumerate(self.units)}

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(self.rows_of.values())

    @cached_property
    def rows_of(self) -> dict[str, int]:
        """Path → rows of the file."""
        rows: Counter[str] = Counter()
        for unit in self.units:
            rows[unit.path] += unit.rows
        return dict(rows)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The job as JSON."""
        checksums = artifacts.read_json(self.version.path / CHECKSUMS)
        serving = {name: digest for name, digest in checksums.items() if name.startswith(f"{artifacts.SERVING}/")}
        return {
            "format": FORMAT,
            "model": self.model,
            "version": self.version.number,
            "serving": serving,
            "columns": list(self.wanted.keys),
            "inputs": [{"path": one.path, "bytes": one.bytes, "digest": one.digest} for one in self.inputs],
            "shards": {name: asdict(unit) for name, unit in self.shards.items()},
        }

    @property
    def name(self) -> str:
        """The version, and a digest of all that the output depends on."""
        digest = xxhash.xxh3_64_hexdigest(canonical_json(self.manifest).encode())
        return f"version-{self.version.number}-{digest}"


def plan(model: str, version: Version, paths: Sequence[str], columns: Sequence[str], most_rows: int) -> Job:
    """Reads what the files hold, not yet their rows.

    Args:
        model: the model's name.
        version: what predicts.
        paths: the files, in order.
        columns: those that the output repeats; none: the key of the version's data.
        most_rows: rows of a shard, roughly.

    Raises:
        UserError: the version is damaged, or a file cannot be predicted from.
    """
    verify(version)
    transform = Transform.read(version.path / artifacts.SERVING)
    wanted = Wanted(transform.data, transform.source_columns, tuple(dict.fromkeys(columns or transform.data.key)))
    if not wanted.keys:
        raise UserError("predict.columns is empty, as is data.key; name the columns that predictions are known by")
    try:
        check_columns(wanted.keys, wanted.data)
    except ValueError as error:
        raise UserError(str(error)) from None
    inputs = tuple(Input.of(path) for path in paths)
    found = {path: _schema(path) for path in paths}
    absent = {path: _absent(path, schema, wanted) for path, schema in found.items()}
    schema = _output_schema(found, wanted)
    units = tuple(unit for path in paths for unit in _units(path, most_rows))
    return Job(model, version, inputs, wanted, schema, {path: names for path, names in absent.items() if names}, units)


def _schema(path: str) -> pa.Schema:
    if path.endswith(".csv"):
        return pa.schema([(name, pa.string()) for name in read_csv.header(path)])
    if path.endswith(".parquet"):
        return read_parquet.schema(path)
    raise UserError(f"{path} is of no type that can be predicted from; its name must end in .csv or .parquet")


def _units(path: str, most_rows: int) -> list[Unit]:
    return read_csv.units(path) if path.endswith(".csv") else read_parquet.units(path, most_rows)


def _absent(path: str, schema: pa.Schema, wanted: Wanted) -> tuple[str, ...]:
    """Columns that the file may lack, after refusing it for those that it may not."""
    counts = Counter(schema.names)
    twice = sorted(name for name in wanted.names if counts[name] > 1)
    if twice:
        raise UserError(f"{path} has the columns {', '.join(twice)} more than once; rename or remove the repeated ones")
    without = [name for name in wanted.keys if not counts[name]]
    if without:
        raise UserError(f"{path} lacks {', '.join(without)}, by which predictions are known; add it or set columns")
    absent = tuple(name for name in wanted.features if not counts[name])
    needed = [name for name in absent if wanted.data.columns[name].required]
    if needed or len(absent) == len(wanted.features):
        raise UserError(f"{path} lacks {', '.join(needed or absent)}, which the model reads; add the columns")
    for name in wanted.names:
        if name in wanted.data.columns and name not in absent:
            _check_type(path, name, schema.field(name).type, wanted.data.columns[name].type)
    return absent


def _check_type(path: str, name: str, found: pa.DataType, kind: ColumnType) -> None:
    if not _is_readable(found, kind):
        raise UserError(f"{path}: column {name} is declared {kind} but has type {found}; change the file")


@cache
def _is_readable(found: pa.DataType, kind: ColumnType) -> bool:
    try:
        read, _ = convert(pa.nulls(0, found), kind)
    except (pa.ArrowException, TypeError):
        return False
    return bool(read.type == ARROW_TYPES[kind])


def _output_schema(found: dict[str, pa.Schema], wanted: Wanted) -> pa.Schema:
    fields = [pa.field(name, _key_type(name, found, wanted.data)) for name in wanted.keys]
    return pa.schema([*fields, *prediction_fields(wanted.data)])


def _key_type(name: str, found: dict[str, pa.Schema], data: Data) -> pa.DataType:
    if name in data.columns:
        return ARROW_TYPES[data.columns[name].type]
    kinds = {schema.field(name).type: path for path, schema in found.items()}
    if len(kinds) > 1:
        shown = ", ".join(f"{kind} in {path}" for kind, path in list(kinds.items())[:2])
        raise UserError(f"the column {name} has different types ({shown}); declare it in data.columns or change a file")
    return next(iter(kinds))


def prediction_fields(data: Data) -> list[pa.Field]:
    """The columns of predictions: one, or for multiclass a probability of each class and the likeliest class."""
    kinds = [pa.float32()]
    if data.task == "multiclass":
        kinds = [*kinds * len(data.label_classes), ARROW_TYPES[data.columns[data.label].type]]
    return [pa.field(name, kind) for name, kind in zip(prediction_names(data), kinds)]
