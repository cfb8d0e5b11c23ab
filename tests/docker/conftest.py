import os
from collections.abc import Iterator

import pytest

docker = pytest.importorskip("docker", reason="install the package docker")

from tests.docker.engine import any_engine  # noqa: E402


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The address of a container engine, in `DOCKER_HOST` while the tests run."""
    with any_engine() as address, pytest.MonkeyPatch.context() as patch:
        if address is None:
            pytest.skip("no container engine answers, and none can be started: install docker.io and be root")
        patch.setitem(os.environ, "DOCKER_HOST", address)
        yield address


@pytest.fixture(scope="session")
def client(engine: str) -> Iterator["docker.DockerClient"]:
    made = docker.DockerClient(base_url=engine)
    yield made
    made.close()
