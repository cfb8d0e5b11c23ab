"""One task of a run in a container: what it may do, and that no failure of it is lost."""

import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.orchestration.container_limits import GIB, Limits
from components.orchestration.containers import FOLDER_LABEL, Containers
from components.orchestration.local_run import LOG, LocalRun
from components.orchestration.mounts import Folders
from tests.docker.engine import READABLE, make_image
from tests.docker.tasks import IMAGE, failing, failing_in_a_loop, looking

SMALL_GIB = 0.25


@pytest.fixture(scope="module", autouse=True)
def image(client) -> None:
    make_image(client, IMAGE)


def run(
    work: Path, pipeline: Callable[..., Any], limits: Limits | None = None, read: Path | None = None, **arguments: str
) -> tuple[bool, str]:
    """Whether the run succeeded, and its log."""
    runner = Containers(Folders(read=(*READABLE, *([read] if read else []))), limits or Limits())
    runner.check(pipeline)
    made = LocalRun.new("model", work)
    succeeded = made.execute(pipeline, arguments, True, Console(file=io.StringIO()), runner)
    return succeeded, (made.folder / LOG).read_text()


def look(tmp_path: Path, limits: Limits | None = None) -> dict[str, Any]:
    """What a task sees."""
    work, source = tmp_path / "work", tmp_path / "source"
    work.mkdir(exist_ok=True)
    source.mkdir(exist_ok=True)
    (source / "rows.csv").write_text("x,y\n")
    succeeded, log = run(work, looking, limits, source, folder=str(work), source=str(source))
    assert succeeded, log
    (line,) = [line for line in log.splitlines() if "seen: " in line]
    return json.loads(line.partition("seen: ")[2])


def test_a_task_is_the_user_and_writes_nothing_but_the_run_s_folders(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert seen["user"] == [os.getuid(), os.getgid()]
    assert seen["capabilities"] == 0 and seen["no_new_privileges"] == "1"
    assert seen["writable"] == [str(tmp_path / "work"), "/tmp"]
    assert (tmp_path / "work" / "written").stat().st_uid == os.getuid()
    assert seen["read"] == "x,y\n"
    assert seen["interfaces"] == ["lo"], "a run without a URL needs no network"


def test_the_network_is_the_machine_s_where_it_is_wanted(tmp_path: Path) -> None:
    import socket

    assert look(tmp_path, Limits(network="host"))["interfaces"] == [name for _, name in socket.if_nameindex()]


def test_a_task_gets_the_variables_that_it_needs_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = {"AWS_ACCESS_KEY_ID": "key", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    kept = {"AWS_CA_BUNDLE": "/here/only.pem", "TF_CLI_CONFIG_FILE": "/here", "SECRET": "s"}
    for name, value in {**passed, **kept}.items():
        monkeypatch.setenv(name, value)
    seen = look(tmp_path)["environment"]
    assert passed.items() <= seen.items() and not kept.keys() & seen.keys()
    (made,) = (tmp_path / "work" / "runs").iterdir()
    assert seen["EVERGREEN_RUN"] == made.name
    assert seen["HOME"] == "/tmp"


def test_the_same_task_comes_from_the_cache(tmp_path: Path) -> None:
    look(tmp_path)
    work, source = tmp_path / "work", tmp_path / "source"
    assert (work / "looked").read_text() == "looked\n"
    assert run(work, looking, None, source, folder=str(work), source=str(source))[0]
    assert (work / "looked").read_text() == "looked\n"


@pytest.mark.parametrize("how", ["raises", "exits", "is killed", "ends too early"])
def test_a_task_that_fails_fails_the_run_and_is_tried_again(tmp_path: Path, how: str) -> None:
    for tried in (1, 2):
        succeeded, log = run(tmp_path, failing, how=how, folder=str(tmp_path))
        assert not succeeded, log
        assert IMAGE in log, "the log says why"
        assert len((tmp_path / "tried").read_text().splitlines()) == tried


def test_a_task_of_a_loop_that_fails_fails_the_run(tmp_path: Path) -> None:
    succeeded, log = run(tmp_path, failing_in_a_loop, how="exits", folder=str(tmp_path))
    assert not succeeded, log


def test_a_task_without_fault_succeeds(tmp_path: Path) -> None:
    assert run(tmp_path, failing, how="not at all", folder=str(tmp_path))[0]


def test_a_container_that_vanishes_fails_the_run(tmp_path: Path, client) -> None:
    def remove() -> None:
        deadline_s = time.monotonic() + 60
        while not (tmp_path / "tried").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        (found,) = client.containers.list(filters={"label": f"{FOLDER_LABEL}={tmp_path}"})
        found.remove(force=True)

    thread = threading.Thread(target=remove)
    thread.start()
    succeeded, log = run(tmp_path, failing, how="waits", folder=str(tmp_path))
    thread.join()
    assert not succeeded
    assert IMAGE in log


def test_a_task_that_takes_more_memory_than_it_may_is_killed_and_the_log_says_so(tmp_path: Path, client) -> None:
    if not client.info()["MemoryLimit"]:
        pytest.skip("this engine cannot limit memory; give its machine control groups that can")
    assert SMALL_GIB * GIB < 2**30
    succeeded, log = run(tmp_path, failing, Limits(memory_gib=SMALL_GIB), how="takes too much", folder=str(tmp_path))
    assert not succeeded
    assert "raise --memory" in log


def test_no_container_is_left(tmp_path: Path, client) -> None:
    look(tmp_path)
    run(tmp_path / "work", failing, how="exits", folder=str(tmp_path / "work"))
    assert not client.containers.list(all=True, filters={"label": f"{FOLDER_LABEL}={tmp_path / 'work'}"})
