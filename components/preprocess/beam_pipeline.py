"""Beam pipelines as preprocess runs them: in this process."""

import contextlib
import shutil
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # type: ignore[attr-defined]

# Type checks cost a second a pipeline and find nothing that a test of the step does not.
OPTIONS = ("--no_pipeline_type_check",)


@contextlib.contextmanager
def beam_pipeline() -> Iterator[beam.Pipeline]:
    """A pipeline that runs when the block ends.

    `DirectRunner` is not named, because it first tries to download another runner. Worker processes are not used,
    because each imports TensorFlow again, which takes longer than the work.
    """
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(list(OPTIONS)))
    try:
        with pipeline:
            yield pipeline
    finally:
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
