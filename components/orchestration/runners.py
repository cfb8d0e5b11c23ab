"""What a local run's tasks run in: processes of this machine, or containers (`containers.py`)."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from kfp import local
from kfp.local import subprocess_task_handler
from kfp.local.status import Status

from components.orchestration.interruption import end_children

KfpRunner: TypeAlias = local.SubprocessRunner | local.DockerRunner


class Runner(Protocol):
    """Runs the tasks of one local run, and ends them when the run is interrupted."""

    def check(self, pipeline: Any) -> None:
        """Refuses a pipeline whose tasks it could not run.

        Raises:
            UserError: says what is missing.
        """

    def at_work(self, run: str, folder: Path) -> AbstractContextManager[KfpRunner]:
        """KFP's runner for a run; when the block ends, no task is left.

        Args:
            run: the run's name.
            folder: the folder of this machine that the tasks read and write.
        """

    def end(self) -> None:
        """Ends the tasks at work and starts no other; may be called by a signal handler."""


class Processes:
    """Runs each task in a process of this machine, with this Python and its packages."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def check(self, pipeline: Any) -> None:
        """Any pipeline can be run: what it needs is what drew it."""

    @contextlib.contextmanager
    def at_work(self, run: str, folder: Path) -> Iterator[KfpRunner]:  # noqa: ARG002 - only containers need them
        """KFP's runner for a run."""
        task = functools.partial(_ProcessTask, self._ended)
        with replaced(subprocess_task_handler, "SubprocessTaskHandler", task):
            yield local.SubprocessRunner(use_venv=False)

    def end(self) -> None:
        """Ends the tasks at work and starts no other."""
        self._ended.set()
        end_children()


class _ProcessTask(subprocess_task_handler.SubprocessTaskHandler):
    """A task that is not started once the run is interrupted: KFP goes on with what waits in a loop."""

    def __init__(self, ended: threading.Event, **task: Any) -> None:
        super().__init__(**task)
        self._ended = ended

    def run(self) -> Status:
        return Status.FAILURE if self._ended.is_set() else super().run()


@contextlib.contextmanager
def replaced(module: ModuleType, name: str, handler: Callable[..., Any]) -> Iterator[None]:
    """Has KFP handle tasks by `handler` while the block runs: it finds the handler of its own runner in this module."""
    before = getattr(module, name)
    setattr(module, name, handler)
    try:
        yield
    finally:
        setattr(module, name, before)
