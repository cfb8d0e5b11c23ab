"""Beam's job servers for Flink and Spark: Java programs that take the step's jobs and hand them to the engine."""

import shutil
import socket
from typing import Any

from apache_beam.options.pipeline_options import JobServerOptions, PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.spark_runner import SparkJarJobServer, SparkRunner

from components.errors import UserError

CONNECT_S = 30
SERVERS = {"flink": FlinkJarJobServer, "spark": SparkJarJobServer}


class OwnJobServer(JobServer):
    """A job server that starts once, for all jobs of a step, and is stopped by who made it.

    Beam's own wrapper stops it when the process ends, and takes the process's handler of SIGINT for that.
    """

    def __init__(self, server: JobServer) -> None:
        self._server = server
        self._stub: Any = None

    @classmethod
    def of(cls, runner: str, options: PipelineOptions) -> "OwnJobServer":
        """The job server of an engine, which is not started yet.

        Raises:
            UserError: there is no Java.
        """
        java = options.view_as(JobServerOptions).job_server_java_launcher
        if shutil.which(java) is None:
            raise UserError(
                f"preprocess.runner {runner} starts Beam's job server with Java, which is not here; install Java 11 or "
                f"newer, or name a running job server as preprocess.{runner}.job_endpoint"
            )
        return cls(SERVERS[runner](options))

    def start(self) -> Any:
        """Starts it at the first call; returns the stub of its service."""
        if self._stub is None:
            self._stub = self._server.start()
        return self._stub

    def stop(self) -> None:
        """Stops it."""
        if self._stub is not None:
            self._stub = None
            self._server.stop()


def check_answers(runner: str, endpoint: str) -> None:
    """Refuses an endpoint where nothing listens; Beam would wait five minutes for it and not say for what.

    Raises:
        UserError: names it.
    """
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"preprocess.{runner}.job_endpoint is {endpoint}, where nothing answers ({error}); start Beam's job server "
            "there or correct the address"
        ) from None


def flink_runner(server: OwnJobServer | None) -> FlinkRunner:
    """Runs jobs through a job server; None: through the one that the options name."""
    return _Flink(server)


def spark_runner(server: OwnJobServer | None) -> SparkRunner:
    """Runs jobs through a job server; None: through the one that the options name."""
    return _Spark(server)


class _Flink(FlinkRunner):
    def __init__(self, server: OwnJobServer | None) -> None:
        super().__init__()
        self._own = server

    def default_job_server(self, _: PipelineOptions) -> OwnJobServer | None:
        return self._own


class _Spark(SparkRunner):
    def __init__(self, server: OwnJobServer | None) -> None:
        super().__init__()
        self._own = server

    def default_job_server(self, _: PipelineOptions) -> OwnJobServer | None:
        return self._own
