"""One task of a local run in a container, in place of KFP's own handler.

KFP's (2.17) has the engine remove a container as soon as that has ended, asks for its exit status afterwards, and takes
"no such container" for success: with podman, and with Docker when it is quick, a task that failed has succeeded, and
its missing outputs go into the cache. Here the container stays until its status is known, and no status is a failure.
"""

import codecs
import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterable
from pathlib import Path

import docker
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from kfp import local
from kfp.local.status import Status
from kfp.local.task_handler_interface import ITaskHandler
from requests.exceptions import RequestException

from components.errors import UserError

ENGINE_VARIABLE = "DOCKER_HOST"
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
KILLED = 128 + signal.SIGKILL
ENGINE_FAILURES = (DockerException, RequestException, UserError)


def connect() -> docker.DockerClient:
    """A client of the container engine that `DOCKER_HOST` names.

    Raises:
        UserError: it does not answer.
    """
    try:
        return docker.from_env()
    except DockerException:
        address = os.environ.get(ENGINE_VARIABLE, DEFAULT_ENGINE)
        raise UserError(
            f"no container engine answers at {address}; start Docker, or `podman system service` and set "
            f"{ENGINE_VARIABLE} to its socket"
        ) from None


class ContainerTask(ITaskHandler):
    """Runs a task in its image, and tells whether it succeeded."""

    def __init__(
        self,
        interrupted: threading.Event,
        image: str,
        full_command: list[str],
        pipeline_root: str,  # noqa: ARG002 - KFP's signature; the runner's mounts hold it
        runner: local.DockerRunner,
        env_vars: dict[str, str] | None = None,
    ) -> None:
        """Takes what KFP gives a handler.

        Args:
            interrupted: set when no task may start any more.
            image: what the task runs in; it is not pulled.
            full_command: the task's command.
            pipeline_root: where KFP's outputs lie.
            runner: holds the other arguments of `docker run`.
            env_vars: the task's environment.
        """
        self._interrupted = interrupted
        self._image, self._command, self._environment = image, full_command, env_vars or {}
        self._arguments = runner.container_run_args

    def run(self) -> Status:
        """Runs the task to its end; what it prints, and why it failed where it cannot say so, goes to the output."""
        try:
            with contextlib.closing(connect()) as client:
                container = client.containers.create(
                    self._image, self._command, environment=self._environment, **self._arguments
                )
                reason = self._run(container)
        except ENGINE_FAILURES as error:
            reason = f"the container engine failed: {error}"
        if not reason and not self._end_mark().exists():
            reason = "its container ended as if all were well, but the task left no output"
        if reason:
            print(f"{self._image}: {reason}")
        return Status.FAILURE if reason else Status.SUCCESS

    def _run(self, container: Container) -> str:
        """Why the task failed; empty where it did not."""
        try:
            # Asked for once the container can be found: whoever interrupts ends what is there, and it may be this one.
            if self._interrupted.is_set():
                return "the run was interrupted"
            container.start()
            _print(container.logs(stream=True))
            code = container.wait()["StatusCode"]
            if code == KILLED:
                return f"it was killed (exit status {code}), as where memory runs out; raise --memory or free some"
            return f"it ended with exit status {code}" if code else ""
        finally:
            # Interrupted, and removed by another; or it takes its time, and is removed at the end of the run.
            with contextlib.suppress(APIError, RequestException):
                container.remove(force=True, v=True)

    def _end_mark(self) -> Path:
        """The file that KFP's executor writes last."""
        executor_input = json.loads(self._command[self._command.index("--executor_input") + 1])
        return Path(executor_input["outputs"]["outputFile"])


def _print(output: Iterable[bytes]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in output:
        print(decoder.decode(chunk), end="")
