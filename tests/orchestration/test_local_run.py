"""What a run leaves in the process that ran it."""

import builtins
import contextlib
import io
import logging
from pathlib import Path

from kfp.local.logging_utils import indented_print, local_logger_context
from rich.console import Console

from components.orchestration.local_run import LocalRun


def two_tasks_at_once() -> None:
    """What KFP does for each of two tasks, of which the one that began first ends first."""
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    for stack in (first, second):
        stack.enter_context(local_logger_context())
        stack.enter_context(indented_print())
    first.close()
    second.close()


def test_print_and_the_log_are_as_before_though_tasks_ran_side_by_side(tmp_path: Path) -> None:
    root = logging.getLogger()
    found = builtins.print, list(root.handlers), root.level
    assert LocalRun.new("small", tmp_path).execute(two_tasks_at_once, {}, True, Console(file=io.StringIO()))
    assert (builtins.print, root.handlers, root.level) == found
