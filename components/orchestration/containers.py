"""Runs the tasks of a local run in containers, each in the image of its step."""

import contextlib
import functools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container
from google.protobuf import json_format
from kfp import local
from kfp.local import docker_task_handler
from requests.exceptions import RequestException

from components.artifacts import FRESH_VARIABLE, RUN_VARIABLE
from components.errors import UserError
from components.orchestration.container_limits import Limits
from components.orchestration.container_task import ENGINE_FAILURES, ContainerTask, connect
from components.orchestration.mounts import Folders, mounts
from components.orchestration.runners import KfpRunner, replaced
from components.storage.fetched import BESIDE_VARIABLE
from components.storage.process import is_living, this_process

RUN_LABEL, FOLDER_LABEL, HOLDER_LABEL = "evergreen.run", "evergreen.folder", "evergreen.holder"
PASSED = (
    RUN_VARIABLE,
    FRESH_VARIABLE,
    BESIDE_VARIABLE,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)
"""Environment variables that tasks get; others may name files that a container does not have."""
PASSED_PREFIXES = ("FSSPEC_", "TF_CPP_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_XLA_")
"""TensorFlow's are spelled out because Terraform's begin with TF_ too."""
TEMPORARY = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
GRACE_S = 10
"""What tasks have to end when they are told to: a training saves its checkpoint."""


class Containers:
    """A runner (`runners.Runner`) for Docker, or for an engine that speaks as it does.

    A task runs as the user who runs the pipeline, with a root that it cannot write, a `/tmp` of its own in memory, the
    run's folders at their own paths, and no capabilities.
    """

    def __init__(self, folders: Folders, limits: Limits) -> None:
        self._folders, self._limits = folders, limits
        self._interrupted = threading.Event()
        self._run = ""

    def check(self, pipeline: Any) -> None:
        """Refuses a pipeline whose images are not there, and limits that the engine could not grant.

        Raises:
            UserError: images are missing, a limit is out of range, or no engine answers.
        """
        names = sorted(_images(pipeline))
        with contextlib.closing(connect()) as client:
            self._limits.check(client)
            missing = [name for name in names if not _has_image(client, name)]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(names)} images are not in the container engine, {missing[0]} among them; "
                "run `make images`"
            )

    @contextlib.contextmanager
    def at_work(self, run: str, folder: Path) -> Iterator[KfpRunner]:
        """KFP's runner for a run; first removes what killed runs of the same folder left at work.

        Raises:
            UserError: no engine answers, or a folder cannot be made.
        """
        self._run = run
        with contextlib.closing(connect()) as client:
            _remove_orphans(client, folder)
            arguments = self._arguments(folder, _user(client))
        try:
            task = functools.partial(ContainerTask, self._interrupted)
            with replaced(docker_task_handler, "DockerTaskHandler", task):
                yield local.DockerRunner(**arguments)
        finally:
            self._remove(grace_s=0)

    def end(self) -> None:
        """Ends the tasks at work and starts no other."""
        self._interrupted.set()
        self._remove(GRACE_S)

    def _remove(self, grace_s: float) -> None:
        with contextlib.suppress(*ENGINE_FAILURES), contextlib.closing(connect()) as client:
            mine = client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={self._run}"})
            if grace_s:
                _tell_to_end(mine, grace_s)
            _force(mine)

    def _arguments(self, folder: Path, user: str) -> dict[str, Any]:
        """Those of `docker run`, as the package docker names them."""
        return {
            "user": user,
            "environment": _environment(),
            "labels": {RUN_LABEL: self._run, FOLDER_LABEL: str(folder), HOLDER_LABEL: json.dumps(this_process())},
            "mounts": mounts(folder, self._folders),
            "read_only": True,
            "tmpfs": TEMPORARY,
            "cap_drop": ["ALL"],
            # Where SELinux is at work, only folders that are labelled for containers could be mounted.
            "security_opt": ["no-new-privileges", "label=disable"],
            **self._limits.arguments(),
        }


def _images(pipeline: Any) -> set[str]:
    executors = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"].values()
    return {executor["container"]["image"] for executor in executors if "container" in executor}


def _has_image(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _user(client: docker.DockerClient) -> str:
    """The user who runs the pipeline; to an engine without root's rights that is root, inside."""
    is_rootless = any("rootless" in option for option in client.info().get("SecurityOptions") or ())
    return "0:0" if is_rootless else f"{os.getuid()}:{os.getgid()}"


def _environment() -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    return {"HOME": "/tmp", **passed}


def _remove_orphans(client: docker.DockerClient, folder: Path) -> None:
    """A run that was killed leaves its task at work; that run's process is gone, so nobody waits for it any more."""
    found = client.containers.list(all=True, filters={"label": f"{FOLDER_LABEL}={folder}"})
    _force([container for container in found if _is_orphan(container)])


def _is_orphan(container: Container) -> bool:
    living = is_living(json.loads(container.labels[HOLDER_LABEL]))
    return living is False or (living is None and container.status == "exited")  # of an earlier boot


def _tell_to_end(containers: list[Container], grace_s: float) -> None:
    """SIGTERM to all processes of each container, and some time.

    Not by `docker stop`: it tells the first process, KFP's shell, which does not pass it on.
    """
    for container in containers:
        with contextlib.suppress(APIError, RequestException):
            container.exec_run(["sh", "-c", "kill -TERM -1"])
    for container in containers:
        with contextlib.suppress(APIError, RequestException):
            container.wait(timeout=grace_s)


def _force(containers: list[Container]) -> None:
    for container in containers:
        with contextlib.suppress(APIError, RequestException):
            container.remove(force=True, v=True)
