"""What a run in containers is refused for, before it begins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import dsl

from components.errors import UserError
from components.orchestration.container_limits import Limits
from components.orchestration.containers import Containers
from components.orchestration.mounts import Folders
from tests.docker.engine import ROOT, make_image
from tests.docker.tasks import IMAGE, failing
from tests.docker.test_mounts import MODEL

NO_ENGINE = "unix:///nowhere/docker.sock"


@dsl.component(base_image="evergreen-test-python:missing", install_kfp_package=False)
def unbuilt():
    pass


@dsl.pipeline(name="unbuilt")
def of_a_missing_image():
    unbuilt()


def command(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`pipeline.py run` where no engine answers."""
    (tmp_path / "rows.csv").write_text("x,late\n1.5,0\n")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({**MODEL, "ingest": {"source": "rows.csv"}}))
    return subprocess.run(
        [sys.executable, "pipeline.py", "run", str(tmp_path), "--work", str(tmp_path / "work"), *options],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": NO_ENGINE},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_engine_the_run_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    done = command(tmp_path, "--runner", "docker")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no container engine answers at {NO_ENGINE}; start Docker, or ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("option", ["--memory=4", "--cpus=1", "--network=host"])
def test_what_is_for_containers_is_refused_without(tmp_path: Path, option: str) -> None:
    done = command(tmp_path, option)
    name = option.partition("=")[0]
    assert (done.returncode, done.stderr) == (
        1,
        f"error: {name} is for containers, but steps run in processes; add --runner docker\n",
    )


def test_a_missing_image_is_named_with_the_remedy(client) -> None:
    with pytest.raises(UserError, match=r"^1 of 1 images .* evergreen-test-python:missing .* run `make images`$"):
        Containers(Folders(), Limits()).check(of_a_missing_image)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(cpus=100_000), r"^--cpus is 100000; it must be from 0.1 to the engine's \d+ cores$"),
        (Limits(cpus=float("nan")), "^--cpus is nan; "),
        (Limits(memory_gib=0), "^--memory is 0; it must be at least 0.1 GiB$"),
        (Limits(memory_gib=float("nan")), "^--memory is nan; "),
        (Limits(network="none-such"), "^--network is none-such, which the engine has not; use none or host$"),
    ],
)
def test_limits_that_the_engine_cannot_grant_are_refused(client, limits: Limits, sentence: str) -> None:
    make_image(client, IMAGE)
    Containers(Folders(), Limits()).check(failing)
    with pytest.raises(UserError, match=sentence):
        Containers(Folders(), limits).check(failing)
