from pathlib import Path

import pytest

from tests.ingest.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty work directory."""
    return Place(tmp_path / "work")
