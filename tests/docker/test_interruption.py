"""Runs that are told to end, or killed, while the tasks of a loop are at work and others wait."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.artifacts import read_json
from components.orchestration.containers import FOLDER_LABEL
from tests.docker import waiting
from tests.docker.engine import ROOT, make_image

PATIENCE_S = 60
AT_ONCE = 2
"""Tasks of a loop that KFP's local runner starts at once."""


@pytest.fixture(scope="module", autouse=True)
def image(client) -> None:
    make_image(client, waiting.IMAGE)


def start(runner: str, work: Path) -> subprocess.Popen[str]:
    """A run whose first tasks are at work."""
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, waiting.__file__, runner, str(work)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while len(marks(work, "started")) < AT_ONCE:
        assert process.poll() is None and time.monotonic() < deadline_s, process.communicate()[0]
        time.sleep(0.05)
    return process


def marks(work: Path, what: str) -> list[str]:
    return sorted(path.name for path in work.glob(f"{what}-*"))


def containers(client, work: Path) -> list:
    return client.containers.list(all=True, filters={"label": f"{FOLDER_LABEL}={work}"})


@pytest.mark.parametrize(
    ("runner", "number"), [("docker", signal.SIGINT), ("docker", signal.SIGTERM), ("subprocess", signal.SIGINT)]
)
def test_a_run_that_is_told_to_end_ends_its_tasks_and_starts_no_other(
    tmp_path: Path, client, runner: str, number: int
) -> None:
    process = start(runner, tmp_path)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == waiting.INTERRUPTED, printed
    assert len(marks(tmp_path, "started")) == AT_ONCE, "others were started"
    assert [name[-1] for name in marks(tmp_path, "told")] == [name[-1] for name in marks(tmp_path, "started")]
    assert not containers(client, tmp_path)
    assert not list(tmp_path.glob("runs/*/lease.json"))


def test_what_a_killed_run_left_at_work_ends_when_the_next_one_starts(tmp_path: Path, client) -> None:
    killed = start("docker", tmp_path)
    killed.kill()
    killed.communicate()
    left = {container.id for container in containers(client, tmp_path)}
    assert len(left) == AT_ONCE
    for mark in tmp_path.glob("started-*"):
        mark.unlink()
    other = start("docker", tmp_path)
    assert len(containers(client, tmp_path)) == AT_ONCE
    assert not left & {container.id for container in containers(client, tmp_path)}
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=PATIENCE_S)
    assert not containers(client, tmp_path)


def test_a_run_leaves_those_of_another_in_the_same_folder_alone(tmp_path: Path, client) -> None:
    first = start("docker", tmp_path)
    mine = {container.id for container in containers(client, tmp_path)}
    for mark in tmp_path.glob("started-*"):
        mark.unlink()
    second = start("docker", tmp_path)
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=PATIENCE_S)
    assert {container.id for container in containers(client, tmp_path)} == mine
    assert {read_json(path)["model"] for path in tmp_path.glob("runs/*/lease.json")} == {"waiting"}
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE_S)
    assert not containers(client, tmp_path)
