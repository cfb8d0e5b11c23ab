"""Runs the shards of a job on Apache Beam."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from components import artifacts
from components.errors import UserError
from components.predict.job import Job
from components.predict.score import ERRORS, Scorer
from components.predict.units import Unit

# Type checks cost a second a pipeline and find nothing that a test of the step does not.
OPTIONS = ("--no_pipeline_type_check",)
Shard = tuple[str, Unit]


def run_shards(job: Job, shards: Sequence[Shard], folder: Path, workers: int, options: Sequence[str]) -> None:
    """Writes shards into a folder.

    Args:
        job: what they belong to.
        shards: those to write.
        folder: where they go; all workers must see it.
        workers: shards worked on at once, where `options` name no runner.
        options: Beam's. Without `--runner` all is done by threads of this process: almost all work is done outside of
            Python's lock, and a second process would have to import Beam again. `DirectRunner` is not named, because it
            first tries to download another runner.

    Raises:
        UserError: a shard's rows cannot be read.
    """
    named = any(option.split("=")[0] == "--runner" for option in options)
    threads = ("--direct_running_mode=multi_threading", f"--direct_num_workers={workers}")
    flags = PipelineOptions([*OPTIONS, *(() if named else threads), *options])
    pipeline = beam.Pipeline(runner=None if named else FnApiRunner(), options=flags)
    # Elements are dealt out to threads in turn, before the first is done: equal neighbours give equal hands.
    largest_first = sorted(shards, key=lambda shard: -shard[1].rows)
    try:
        with pipeline:
            _ = pipeline | beam.Create(largest_first) | beam.ParDo(WriteShard(job, folder))
    finally:
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
    for path in sorted((folder / ERRORS).glob("*.json")):
        raise UserError(artifacts.read_json(path)["error"])


class WriteShard(beam.DoFn):
    """Predicts and writes a shard. What goes from worker to worker is only where rows lie."""

    def __init__(self, job: Job, folder: Path) -> None:
        super().__init__()
        self._serving, self._version, self._wanted = job.serving, job.version.number, job.wanted
        self._schema = job.schema.serialize().to_pybytes()
        self._folder = folder

    def setup(self) -> None:
        """Loads the model, once a worker."""
        schema = pa.ipc.read_schema(pa.BufferReader(self._schema))
        self._scorer = Scorer(self._serving, self._version, self._wanted, schema, self._folder)

    def process(self, shard: Shard) -> None:
        """Writes a shard. What a user must mend is noted in a file: Beam would hand on a page of traceback."""
        name, unit = shard
        try:
            self._scorer.write(name, unit)
        except UserError as error:
            artifacts.write_json(self._folder / ERRORS / f"{name}.json", {"error": str(error)})
