import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.orchestration import run_progress
from tests.kfp_server.answers import stamp
from tests.kfp_server.server import API, KfpServer
from tests.submit.conftest import Command

ROOT = Path(__file__).parents[2]


def task(name: str, state: str = "SUCCEEDED", number: int = 0, **more: Any) -> dict[str, Any]:
    times = {"start_time": stamp(1_000_000), "end_time": stamp(1_000_012 if state != "RUNNING" else 0)}
    return {"task_id": f"{name}-{number}", "display_name": name, "state": state, **times, **more}


def plays(kfp: KfpServer, *acts: tuple[str, list[dict[str, Any]]]) -> Callable[[str, str], None]:
    """Each time that the run is asked for, it is one act further."""
    left = list(acts)

    def look(method: str, path: str) -> None:
        if method == "GET" and path.startswith(f"{API}/runs/"):
            state, tasks = left.pop(0) if len(left) > 1 else left[0]
            kfp.runs[path.rpartition("/")[2]] |= {"state": state, "run_details": {"task_details": tasks}}

    return look


def test_tasks_are_shown_as_they_end(command: Command, kfp: KfpServer) -> None:
    drivers = [task("root"), task("ingest-driver"), task("executor")]
    kfp.fault = plays(
        kfp,
        ("PENDING", []),
        ("RUNNING", [*drivers, task("ingest", "RUNNING")]),
        ("RUNNING", [*drivers, task("ingest"), task("compress", number=1)]),
        ("SUCCEEDED", [*drivers, task("ingest"), task("compress", number=1), task("compress", number=2)]),
    )
    done = command("submit", "--wait")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[1:] for line in lines if line[:1] == ["✓"]] == [
        ["ingest", "12", "s"], ["compress", "12", "s"], ["compress", "12", "s"],
    ]  # fmt: skip
    assert "the run has succeeded" in done.out and "driver" not in done.out


@pytest.mark.parametrize(("state", "told"), [("FAILED", "failed"), ("CANCELED", "canceled"), ("SKIPPED", "skipped")])
def test_a_run_that_does_not_succeed_fails_the_command(command: Command, kfp: KfpServer, state: str, told: str) -> None:
    failed = task("train", "FAILED", child_tasks=[{"pod_name": "evergreen-small-x-impl-1"}])
    kfp.fault = plays(kfp, ("RUNNING", []), (state, [task("ingest"), failed]))
    done = command("submit", "--wait")
    assert done.code == 1
    assert f"the run has {told}" in done.out
    assert "train failed: kubectl logs evergreen-small-x-impl-1 -c main" in done.out


def test_a_server_that_is_away_for_a_while_is_waited_for(command: Command, kfp: KfpServer) -> None:
    asked: list[str] = []

    def away(method: str, path: str) -> int | None:
        if path.startswith(f"{API}/runs/"):
            asked.append(path)
            if len(asked) < 5:
                return 503
            kfp.runs[path.rpartition("/")[2]]["state"] = "SUCCEEDED"
        return None

    kfp.fault = away
    assert command("submit", "--wait").code == 0
    assert len(asked) == 5 and len(kfp.runs) == 1


def test_a_token_that_expires_meanwhile_leaves_the_run(
    command: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "short-lived")
    kfp.fault = lambda method, path: 401 if path.startswith(f"{API}/runs/") else None
    done = command("submit", "--wait")
    (run,) = kfp.runs
    done.refused("may have expired", "the run goes on meanwhile", run)
    assert "short-lived" not in done.out + done.err


def test_a_token_file_that_is_renewed_is_read_again(command: Command, kfp: KfpServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    kfp.token = "first"

    def renewed(method: str, path: str) -> bool:
        """After an answer about the run, the first token is worth nothing."""
        if path.startswith(f"{API}/runs/"):
            if kfp.token == "second":
                kfp.runs[path.rpartition("/")[2]]["state"] = "SUCCEEDED"
            kfp.token = "second"
            file.write_text("second\n")
        return False

    kfp.lost = renewed
    assert command("submit", "--wait", "--token-file", str(file)).code == 0


def test_ctrl_c_leaves_the_run(kfp: KfpServer, model: Path) -> None:
    arguments = ["--host", kfp.url, "--work", "s3://bucket/evergreen", "--wait"]
    code = f"import {run_progress.__name__} as progress; progress.POLL_S = 0.05; import runpy, sys; sys.argv[0] = "
    code += "'pipeline.py'; runpy.run_path('pipeline.py', run_name='__main__')"
    waiting = subprocess.Popen(
        [sys.executable, "-c", code, "submit", str(model), *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    polled: list[str] = []

    def stop(method: str, path: str) -> None:
        if path.startswith(f"{API}/runs/"):
            polled.append(path)
            if len(polled) == 3:
                waiting.send_signal(signal.SIGINT)

    kfp.fault = stop
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 130, out + err
    (run,) = kfp.runs.values()
    assert f"the run goes on: {kfp.url}/#/runs/details/{run['run_id']}" in out
    assert run["state"] == "PENDING" and "Traceback" not in err
    assert not any(path.endswith(":terminate") for path in kfp.seen("POST"))


def test_the_tasks_that_do_work_are_known_from_the_pipeline(command: Command, kfp: KfpServer) -> None:
    import yaml

    command("submit", "--upload-only")
    (version,) = kfp.versions.values()
    names = run_progress.task_names(yaml.safe_dump(version["pipeline_spec"]["pipeline_spec"]))
    assert names >= {"ingest", "resolve", "validate", "train", "compress", "deploy", "finish"}
    assert not {name for name in names if "condition" in name or "loop" in name or name == "root"}
