from collections.abc import Iterator

import pytest

from tests.orchestration.quick import Plant, quick_plant


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The pipeline of a small model with quick steps, run once."""
    with quick_plant(tmp_path_factory.mktemp("plant")) as made:
        yield made
