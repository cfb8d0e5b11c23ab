"""Beam pipelines as preprocess runs them: in this process, or on an engine elsewhere."""

import contextlib
import logging
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # type: ignore[attr-defined]
from apache_beam.runners.runner import PipelineRunner

from components.errors import UserError
from components.preprocess.beam_options import beam_options
from components.preprocess.exchange import Exchange, exchange
from components.preprocess.job_servers import OwnJobServer, check_answers, flink_runner, spark_runner
from components.preprocess.runners import Engine

log = logging.getLogger(__name__)
NAMED_ERROR = re.compile(r"(Caused by: )?[\w.$]*(Error|Exception)\b")
MOST_SHOWN = 300


class Workers:
    """The workers of one engine, for all pipelines of the step, and the files that they see."""

    def __init__(self, engine: Engine, files: Exchange) -> None:
        self.files = files
        self._engine = engine
        self._server: OwnJobServer | None = None

    @contextlib.contextmanager
    def pipeline(self, name: str) -> Iterator[beam.Pipeline]:
        """A pipeline that runs when the block ends.

        Args:
            name: what it does, in one word.

        Raises:
            UserError: an engine other than the direct runner failed, or cannot be started.
            KeyboardInterrupt: the step was told to end; the job is cancelled.
        """
        job = f"evergreen-{name}-{uuid.uuid4().hex[:8]}"
        options = PipelineOptions(beam_options(self._engine, job, self.files.folder))
        with self._failures_told():
            pipeline = beam.Pipeline(runner=self._runner(options), options=options)
            try:
                with pipeline:
                    yield pipeline
            except (KeyboardInterrupt, SystemExit):
                _cancel(pipeline)
                raise
            finally:
                shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)

    def close(self) -> None:
        """Stops the job server, where the step started one."""
        if self._server is not None:
            self._server.stop()

    def _runner(self, options: PipelineOptions) -> PipelineRunner:
        """A runner.

        `DirectRunner` is not named, because it first tries to download another runner. Worker processes are not used,
        because each imports TensorFlow again, which takes longer than the work.
        """
        if self._engine.dataflow is not None:
            return _dataflow_runner()
        server = self._engine.job_server
        if server is None:
            return FnApiRunner()
        if server.job_endpoint is not None:
            check_answers(self._engine.runner, server.job_endpoint)
        elif self._server is None:
            self._server = OwnJobServer.of(self._engine.runner, options)
        return flink_runner(self._server) if self._engine.runner == "flink" else spark_runner(self._server)

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self._engine.runner == "direct":
                raise
            log.info("the job failed", exc_info=True)
            raise UserError(
                f"preprocess.runner {self._engine.runner} could not do the work ({_reason(error)}); check "
                f"preprocess.{self._engine.runner} and the engine's log, see this one with --debug, and run again"
            ) from error


@contextlib.contextmanager
def workers(engine: Engine, examples: Path) -> Iterator[Workers]:
    """The workers of an engine, until the block ends.

    Args:
        engine: which one, and how.
        examples: the artifact that is made, a folder.

    Raises:
        UserError: the folder that they share with the step cannot be written.
    """
    with exchange(engine.shared, examples) as files, contextlib.closing(Workers(engine, files)) as made:
        yield made


def _reason(error: Exception) -> str:
    """What a page of traces says: engines hand on those of Python below, above or inside those of Java."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    named = [line for line in lines if NAMED_ERROR.match(line)]
    return (named or lines)[-1][:MOST_SHOWN]


def _cancel(pipeline: beam.Pipeline) -> None:
    """Ends the job of a step that was told to end: an engine elsewhere would go on with it, for nobody."""
    result = getattr(pipeline, "result", None)  # Beam sets it once the job is under way
    if result is not None:
        try:
            result.cancel()
        except Exception as error:  # the runner's own, or of the network; the step ends all the same
            log.warning("the job may still run (%s); cancel it on the engine", " ".join(str(error).split()))


def _dataflow_runner() -> PipelineRunner:
    try:
        import apache_beam.runners.dataflow.internal.apiclient  # noqa: F401 - the runner itself imports it too late
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
    except ImportError as error:
        raise UserError(
            f"preprocess.runner dataflow needs Google Cloud's clients, which are not here ({error}); install "
            "apache-beam[gcp] beside the step, in an image made from preprocess's"
        ) from None
    return DataflowRunner()
