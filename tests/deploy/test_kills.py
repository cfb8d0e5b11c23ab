"""A deploying process that is killed with SIGKILL at any request, or between two changes of the store, is run again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.store.rollouts import Rollouts
from tests.deploy.made import MODEL, roll_out
from tests.kubernetes.inference_services import InferenceServer, comes_up, never_comes_up

ROOT = Path(__file__).parents[2]
WAIT, SHORT = "1", "0.02"


class Deployer:
    """Deploys version 2 in place of version 1, in a process."""

    def __init__(self, server: InferenceServer, store: Rollouts, root: Path, work: str) -> None:
        self.server, self.store, self._root, self._work = server, store, root, work
        self._process: subprocess.Popen[str] | None = None
        roll_out(root, work, 1, None)

    def run(self, wait: str = WAIT, death: str | None = None) -> tuple[int, str]:
        """The exit code, and what it printed."""
        command = [sys.executable, "-m", "tests.deploy.process", self._root, self._work, "2", "1", wait]
        self._process = subprocess.Popen(
            [*map(str, command), *([death] if death else [])], stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        said, _ = self._process.communicate(timeout=120)
        return self._process.returncode, said

    def killed_at(self, index: int, when: str, method: str | None = None, wait: str = WAIT) -> bool:
        """Whether there was a request of that index, counted from 1, at which it was killed."""
        requests = iter(range(1, 10_000))

        def kill(had: str, *_: object) -> str | None:
            if (method is None or had == method) and next(requests) == index and self._process is not None:
                self._process.kill()
                self._process.wait()
                return "drop"
            return None

        setattr(self.server, "fault" if when == "before" else "answered", kill)
        code, said = self.run(wait)
        self.server.fault, self.server.answered = lambda *_: None, lambda *_: None
        assert code in (0, 1, -signal.SIGKILL), said
        return code == -signal.SIGKILL

    def check_nothing_is_unnamed(self) -> None:
        """What pods may load is named, so that cleanup keeps it, and `serving` names a version that proved itself."""
        uri = self.server.services[MODEL]["spec"]["predictor"]["model"]["storageUri"]
        assert int(uri.split("/")[-2]) in self.store.named()
        if self.store.number("serving") == 2:
            assert uri.endswith("/2/serving")

    def check_healed(self) -> None:
        assert self.run() == (0, "")
        assert self.store.number("serving") == 2 and self.store.number("candidate") is None
        assert self.server.services[MODEL]["spec"]["predictor"]["model"]["storageUri"].endswith("/2/serving")
        assert [version.number for version in self.store.versions()] == [1, 2]


@pytest.fixture
def deployer(server: InferenceServer, store: Rollouts, tmp_path: Path, work: str) -> Iterator[Deployer]:
    return Deployer(server, store, tmp_path, work)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_the_change_of_the_inference_service(deployer: Deployer, when: str) -> None:
    assert deployer.killed_at(1, when, "PUT")
    assert deployer.store.number("serving") == 1 and deployer.store.number("candidate") == 2
    deployer.check_nothing_is_unnamed()
    deployer.check_healed()


@pytest.mark.nightly
@pytest.mark.parametrize("work", ["folder", "bucket"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_every_request(
    server: InferenceServer, tmp_path: Path, work: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, was_killed = 0, True
    while was_killed:
        index += 1
        place = f"{work}/{index}"
        server.services.clear()
        server.model_pods.clear()
        deployer = Deployer(server, Rollouts(place, MODEL), tmp_path / str(index), place)
        was_killed = deployer.killed_at(index, when)
        deployer.check_nothing_is_unnamed()
        deployer.check_healed()
    assert index > 6, "there are at least that many requests"


@pytest.mark.nightly
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["begin_rollout", "note_before", "replace", "end_rollout"])
def test_a_kill_between_two_changes_of_the_store(deployer: Deployer, method: str, when: str) -> None:
    assert deployer.run(death=f"{method}:{when}")[0] == -signal.SIGKILL
    deployer.check_nothing_is_unnamed()
    deployer.check_healed()


@pytest.mark.nightly
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_it_is_put_back(deployer: Deployer, when: str) -> None:
    deployer.server.behave = never_comes_up
    assert deployer.killed_at(2, when, "PUT", wait=SHORT)
    assert deployer.store.number("serving") == 1 and deployer.store.number("candidate") == 2
    deployer.check_nothing_is_unnamed()
    code, said = deployer.run(SHORT)
    assert code == 1 and "is back at version 1" in said
    assert deployer.store.number("candidate") is None
    deployer.server.behave = comes_up
    deployer.check_healed()


@pytest.mark.nightly
def test_a_step_that_is_told_to_end_puts_it_back(deployer: Deployer) -> None:
    def terminate(server: InferenceServer, service: object) -> None:
        if "/2/" in str(service) and deployer._process is not None:
            deployer._process.send_signal(signal.SIGTERM)

    deployer.server.behave = terminate
    code, _ = deployer.run()
    assert code == 1
    assert deployer.store.number("serving") == 1 and deployer.store.number("candidate") is None
    assert "told to end" in deployer.store.withdrawal()
    uri = deployer.server.services[MODEL]["spec"]["predictor"]["model"]["storageUri"]
    assert uri.endswith("/1/serving")
    deployer.server.behave = comes_up
    deployer.check_healed()
