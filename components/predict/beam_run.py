"""Runs the shards of a job on Apache Beam."""

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # type: ignore[attr-defined]

from components import artifacts
from components.errors import UserError
from components.predict.job import Job
from components.predict.score import ERRORS, Scorer
from components.predict.units import Unit

# Type checks cost a second a pipeline and find nothing that a test of the step does not.
OPTIONS = ("--no_pipeline_type_check",)
Shard = tuple[str, Unit]
log = logging.getLogger(__name__)


def run_shards(
    job: Job, shards: Sequence[Shard], folder: Path, max_bad_rows: float, workers: int, options: Sequence[str]
) -> None:
    """Writes shards into a folder.

    Args:
        job: what they belong to.
        shards: those to write.
        folder: where they go; all workers must see it.
        max_bad_rows: share of a file's rows that may be unreadable.
        workers: shards worked on at once, where `options` name no runner.
        options: Beam's. Without `--runner` all is done by threads of this process: almost all work is done outside of
            Python's lock, and a second process would have to import Beam again. `DirectRunner` is not named, because it
            first tries to download another runner.

    Raises:
        UserError: a shard's rows cannot be read, or it cannot be written, or Beam cannot run as its options ask.
    """
    most_bad = {path: math.floor(max_bad_rows * rows) for path, rows in job.rows_of.items()}
    # Elements are dealt out to threads in turn, before the first is done: equal neighbours give equal hands.
    largest_first = sorted(shards, key=lambda shard: -shard[1].rows)
    try:
        _run(beam.Create(largest_first) | beam.ParDo(WriteShard(job, folder, most_bad)), workers, options)
    except (Exception, SystemExit) as error:  # whatever a runner raises, or the parser of its options
        reason = (str(error).strip() or repr(error)).splitlines()[-1][:300]
        told = f"Apache Beam cannot go on ({reason})"
        raise UserError(f"{told}; check predict.beam, see the log with --debug, and run again") from error
    for path in sorted((folder / ERRORS).glob("*.json")):
        raise UserError(artifacts.read_json(path)["error"])
    missing = [name for name, _ in shards if not (folder / name).exists()]
    if missing:
        told = f"{folder / missing[0]} was not written, nor why"
        raise UserError(f"{told}; make sure that {folder} has room and that all workers see it, and run again")


def _run(transforms: "beam.PTransform[Any, Any]", workers: int, options: Sequence[str]) -> None:
    named = any(option.split("=")[0] == "--runner" for option in options)
    threads = ("--direct_running_mode=multi_threading", f"--direct_num_workers={workers}")
    flags = PipelineOptions([*OPTIONS, *(() if named else threads), *options])
    pipeline = beam.Pipeline(runner=None if named else FnApiRunner(), options=flags)
    try:
        with pipeline:
            _ = pipeline | transforms
    finally:
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


class WriteShard(beam.DoFn):
    """Predicts and writes a shard. What goes from worker to worker is only where rows lie."""

    def __init__(self, job: Job, folder: Path, most_bad: dict[str, int]) -> None:
        super().__init__()
        self._serving, self._version, self._wanted = job.serving, job.version.number, job.wanted
        self._schema = job.schema.serialize().to_pybytes()
        self._folder, self._most_bad = folder, most_bad
        self._scorer: Scorer | None = None

    def process(self, shard: Shard) -> None:
        """Writes a shard, unless one has failed. Why is noted in a file: Beam would hand on a page of traceback."""
        name, unit = shard
        if (self._folder / ERRORS).exists():
            return
        try:
            self._scorer = self._scorer or self._load()
            self._scorer.write(name, unit)
        except UserError as error:
            self._note(name, str(error))
        except Exception as error:
            log.info("%s of %s failed", name, unit.path, exc_info=True)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._note(name, f"rows of {unit.path} could not be predicted ({reason}); see the log with --debug")

    def _load(self) -> Scorer:
        """The model, once a worker."""
        schema = pa.ipc.read_schema(pa.BufferReader(self._schema))
        return Scorer(self._serving, self._version, self._wanted, schema, self._most_bad, self._folder)

    def _note(self, name: str, sentence: str) -> None:
        try:
            artifacts.write_json(self._folder / ERRORS / f"{name}.json", {"error": sentence})
        except OSError as error:  # the shard stays missing, which is told
            log.info("%s (not noted: %s)", sentence, error)
