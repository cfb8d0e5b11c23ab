from pathlib import Path

import pytest

from components.storage.conditional import CONDITIONAL
from components.storage.open import open_storage
from components.store import ModelStore


@pytest.fixture(params=["folder", "s3", pytest.param("s3 without conditions", marks=pytest.mark.nightly)])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """An empty work directory: a folder, and a prefix on a real S3 server."""
    if request.param == "folder":
        return tmp_path / "work"
    root: str = request.getfixturevalue("s3_root")
    if request.param == "s3 without conditions":
        open_storage(root).write(CONDITIONAL, b'{"conditional": false}')
    return root


@pytest.fixture
def store(work: Path | str) -> ModelStore:
    """An empty store."""
    return ModelStore(work, "m")
