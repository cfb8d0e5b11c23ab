"""The manifests, rendered once from a copy, so that no keys are made in the repository."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from manifests.local_secrets import make_secrets
from manifests.render import HERE, render

Object = dict[str, Any]


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with keys for overlays/local."""
    if not (shutil.which("kustomize") or shutil.which("kubectl")):
        pytest.skip("neither kubectl nor kustomize is installed: no manifest is rendered here; install one of them")
    folder = tmp_path_factory.mktemp("copy") / "manifests"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("secrets", "__pycache__"))
    make_secrets(folder / "overlays" / "local")
    return folder


@pytest.fixture(scope="session")
def base(copied: Path) -> list[Object]:
    return render(copied / "base")


@pytest.fixture(scope="session")
def local(copied: Path) -> list[Object]:
    try:
        return render(copied / "overlays" / "local")
    except UserError as error:
        pytest.fail(str(error))


@pytest.fixture(params=["base", "local"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """Each overlay's objects in turn."""
    return request.getfixturevalue(request.param)
