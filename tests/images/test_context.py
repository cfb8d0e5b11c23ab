import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.orchestration.build_images import context, limit_bytes, names
from components.orchestration.images import ROOT, carried_files
from tests.images.carried import IMPORT_ALL


def _inside(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", names())
def test_an_image_is_built_from_what_its_tag_is_the_hash_of(name: str) -> None:
    with context(name) as folder:
        laid = _inside(folder)
    carried = {path.relative_to(ROOT).as_posix() for path in carried_files(name)}
    assert {f"containers/{name}/Dockerfile", f"containers/{name}/requirements.txt"} <= carried
    code = {path for path in carried if not path.startswith("containers/")}
    assert laid == {"Dockerfile", "requirements.txt"} | {f"app/{path}" for path in code}


@pytest.mark.parametrize("name", [name for name in names() if limit_bytes(name) is not None])
def test_the_code_that_an_image_carries_is_complete(name: str) -> None:
    with context(name) as folder:
        command = [sys.executable, "-I", "-c", IMPORT_ALL, str(folder / "app")]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everybody_may_read_it_whatever_the_umask() -> None:
    before = os.umask(0o077)
    try:
        with context("finish") as folder:
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    finally:
        os.umask(before)
    assert modes["app"] == 0o755 and modes["style.css"] == 0o644
    assert set(modes.values()) == {0o755, 0o644}
