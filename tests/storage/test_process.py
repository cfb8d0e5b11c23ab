"""Whether the holder of a lease or a mark lives."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from components.storage import process
from components.storage.process import is_living, this_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as started:
        yield started
        started.kill()


def test_this_process_lives() -> None:
    assert is_living(this_process())
    assert is_living({"machine": this_process()["machine"], "pid": 1}), "another user's lives too"


def test_a_process_that_ended_does_not_even_before_its_parent_notices(child: subprocess.Popen[bytes]) -> None:
    holder = {**this_process(), "pid": child.pid, "started": process._started(child.pid)}
    assert is_living(holder)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_living(holder) is False, "a zombie"
    child.wait()
    assert is_living(holder) is False


def test_a_number_that_came_again_is_another_process() -> None:
    assert is_living({**this_process(), "started": 1}) is False


@pytest.mark.parametrize(
    "holder",
    [{}, {"pid": 1}, {"machine": "boot pid:[2]", "pid": 1}, {"host": "same"}, {"pid": "x"}, {"pid": 0}],
)
def test_of_another_machine_or_container_it_is_not_known(holder: dict[str, object]) -> None:
    assert is_living({"pid": os.getpid(), **holder}) is None


@pytest.mark.parametrize("pid", [0, -1, "1", 1e400, None])
def test_what_is_no_process_is_not_known(pid: object) -> None:
    assert is_living({**this_process(), "pid": pid}) is None


def test_a_number_beyond_all_processes_is_of_none() -> None:
    assert is_living({**this_process(), "pid": 2**80}) is False
