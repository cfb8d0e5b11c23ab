import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from components.artifacts import Record, read_records
from components.orchestration.images import image

ROOT = Path(__file__).parents[2]
MODEL = {
    "name": "small",
    "data": {"columns": {"x": "float", "late": "integer"}, "label": "late", "task": "binary"},
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
    "ingest": {"source": "rows.csv"},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.yaml").write_text(yaml.safe_dump(MODEL))
    return folder


def _run(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "pipeline.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and sentence in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1


def test_help_names_every_command() -> None:
    printed = _run("--help").stdout
    assert all(command in printed for command in ("run", "compile", "schema"))


def test_a_schema_that_nobody_reads_to_its_end_is_no_error() -> None:
    shell = f"{sys.executable} pipeline.py schema | head -c 10"
    done = subprocess.run(shell, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_mistakes_of_the_command_line_are_one_sentence(model: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    _refused(_run("run", tmp_path / "nowhere"), "does not exist; give the folder of a model")
    _refused(_run("run", model, "--work", work, "--until", "yesterday"), "--until is yesterday; it must be a date")
    _refused(_run("run", model, "--work", work / "python3"), "has python3 in its path")
    _refused(_run("run", model, "--work", model / "model.yaml"), "cannot be written")
    _refused(_run("run", model, "--work", ""), '--work is ""; give a folder')
    _refused(_run("run", model, "--work", work, "--set", "train.epoch=1"), "did you mean epochs?")
    _refused(_run("compile", model, "-o", "pipeline.json"), "must end in .yaml")
    (tmp_path / "folder.yaml").mkdir()
    _refused(_run("compile", model, "-o", tmp_path / "folder.yaml"), "folder.yaml")
    assert not work.exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in _run("run", tmp_path / "nowhere", "--debug").stderr


def test_a_pipeline_compiles_from_anywhere_into_a_new_folder(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "pipeline.yaml"
    done = _run("compile", model, "-o", target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    specification, platform = yaml.safe_load_all(target.read_text())
    assert specification["pipelineInfo"]["name"] == "evergreen-small"
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {"until", "force", "work_uri"}
    assert all(parameter["description"] and parameter["isOptional"] for parameter in parameters.values())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert all(executor["fieldPathAsEnv"][0]["name"] == "EVERGREEN_RUN" for executor in executors.values())


def test_steps_that_may_be_cached_are_those_that_make_artifacts(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "pipeline.yaml"
    assert _run("compile", model, "-o", target).returncode == 0
    specification = next(yaml.safe_load_all(target.read_text()))
    tasks = {
        name: task["cachingOptions"].get("enableCache", False)
        for component in [*specification["components"].values(), specification["root"]]
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if "cachingOptions" in task and not name.startswith(("importer", "condition", "for-loop", "exit"))
    }
    assert {name for name, is_cached in tasks.items() if is_cached} == {"preprocess", "train", "compress"}
    assert {name for name, is_cached in tasks.items() if not is_cached} >= {"ingest", "validate", "deploy", "finish"}


def test_a_cluster_finds_in_its_cache_what_the_local_runner_does(model: Path, tmp_path: Path) -> None:
    """What KFP's backend makes its key of (getFingerPrint): nothing there may differ from run to run by itself."""
    target = tmp_path / "pipeline.yaml"
    assert _run("compile", model, "-o", target).returncode == 0
    specification, platform = yaml.safe_load_all(target.read_text())
    executors = specification["deploymentSpec"]["executors"]
    importers = [executor["importer"] for executor in executors.values() if "importer" in executor]
    assert len(importers) == 2
    for importer in importers:
        assert "reimport" not in importer and "metadata" not in importer  # the same URI gives the same artifact id
        assert importer["artifactUri"] == {"runtimeParameter": "uri"}
    for step in ("preprocess", "train", "compress"):
        container = executors[f"exec-{step}"]["container"]
        assert container["image"] == image(step)
        assert "{{$.pipeline_" not in str(container), "a name of the run or the task"
        assert "env" not in container
        inputs = specification["components"][f"comp-{step}"]["inputDefinitions"]["parameters"]
        assert "generation" in inputs and not {"until", "force", "run"} & set(inputs)
        assert "pvcMount" not in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{step}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_ends_its_tasks_and_says_so(model: Path, tmp_path: Path, number: int) -> None:
    (model / "rows.csv").write_text("x,late\n" + "1.5,0\n" * 4_000_000)  # keeps ingest at work for long enough
    work = tmp_path / "work"
    command = [sys.executable, "pipeline.py", "run", str(model), "--work", str(work)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for_ingest(work)
    process.send_signal(number)
    printed, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == "error: interrupted; run again to go on: finished steps come from the cache\n"
    (run,) = (work / "runs").iterdir()
    assert _records(work)["ingest"].status == "failed"
    assert {path.name for path in run.iterdir()} == {"records", "report.html", "log.txt", "run.json"}
    assert not _processes_with(str(work)), "the task's process lives on"
    assert "interrupted" in printed


def _records(work: Path) -> dict[str, Record]:
    runs = list((work / "runs").iterdir()) if (work / "runs").exists() else []
    return read_records(runs[0]) if runs else {}


def _wait_for_ingest(work: Path) -> None:
    deadline = time.time() + 30
    while "ingest" not in _records(work):
        assert time.time() < deadline
        time.sleep(0.1)


def _processes_with(text: str) -> list[str]:
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if text in line]
