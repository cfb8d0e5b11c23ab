"""Calls that are killed, repeated, or meet each other."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import UserError
from components.predict.config import Predict
from components.predict.predict import make_job
from components.predict.predict import run as run_job
from components.schema import parse
from tests.predict.conftest import rows

ROOT = Path(__file__).parents[2]
SHARDS = 60


def job_of(version, path, **section):
    options = parse(Predict, json.dumps(section))
    return make_job("binary", version, str(path), options), options


def content(folder: Path) -> dict[str, bytes]:
    """All that a finished call leaves."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def command(work: Path, source: Path, output: Path) -> list[str]:
    model = ["-m", "components.predict", "binary", "--work", str(work)]
    return [sys.executable, *model, "--input", str(source), "--output", str(output), "--max-bad-rows", "0.5"]


@pytest.fixture
def source(work) -> Path:
    """Enough shards that a kill meets some of them finished and some not; every eleventh row is bad."""
    table = rows(SHARDS * 2000)
    texts = ["?" if number % 11 == 0 else str(number) for number in range(table.num_rows)]
    work.mkdir(exist_ok=True)
    path = work / "rows.parquet"
    pq.write_table(table.set_column(2, "hour", pa.array(texts)), path, row_group_size=2000)
    return path


@pytest.fixture
def small_shards(deployed) -> None:
    """The version that the command finds; its configuration makes small shards."""
    version = deployed()
    lines = "name: binary\npredict: {columns: [id, hour], rows_per_shard: 2000, workers: 2}\n"
    (version.path / "model.yaml").write_text(lines)
    checksums = json.loads((version.path / "checksums.json").read_text())
    from components.store import checksums as computed

    assert checksums.keys() == computed(version.path).keys()
    (version.path / "checksums.json").write_text(json.dumps(computed(version.path)))


def finished(folder: Path) -> int:
    return len(list(folder.glob("part-*")))


def test_killed_at_any_moment_and_repeated_it_gives_exactly_the_same(small_shards, work, source, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(work, source, whole), cwd=ROOT, check=True, capture_output=True)
    wanted = content(whole)
    assert finished(whole) == SHARDS and len(list((whole / "_bad").iterdir())) == SHARDS
    kills = 0
    for most in (0, 3, 25, SHARDS - 5):
        process = subprocess.Popen(command(work, source, killed), cwd=ROOT, stderr=subprocess.DEVNULL)
        while process.poll() is None and finished(killed) <= most:
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += finished(killed) < SHARDS
    assert kills >= 2
    done = subprocess.run(command(work, source, killed), cwd=ROOT, check=True, capture_output=True, text=True)
    assert "there already" in done.stdout
    assert content(killed) == wanted
    found = pq.read_table(killed)
    assert found.num_rows == SHARDS * 2000 * 10 // 11
    assert len(np.unique(np.asarray(found.column("id")))) == found.num_rows


def test_a_folder_of_another_job_is_refused(deployed, work, source, tmp_path):
    version, folder = deployed(), tmp_path / "out"
    job, options = job_of(version, source, max_bad_rows=0.5)
    run_job(job, folder, options)
    before = content(folder)
    others = {
        "predictions of version 1, not of 2": job_of(deployed(), source),
        "predictions known by id, not by town": job_of(version, source, columns=["town"]),
    }
    pq.write_table(rows(10), source)
    others["predictions of other rows"] = job_of(version, source)
    for told, (other, _) in others.items():
        with pytest.raises(UserError, match=told):
            run_job(other, folder, options)
    assert content(folder) == before


def test_a_folder_of_other_things_is_refused_and_left_alone(deployed, work, source, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    job, options = job_of(deployed(), source)
    with pytest.raises(UserError, match="holds other files than predictions"):
        run_job(job, folder, options)
    assert list(content(folder)) == ["mine.txt"]


def test_two_calls_do_not_write_to_one_folder_at_once(deployed, work, source, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    job, options = job_of(deployed(), source)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another call predicts into"):
            run_job(job, folder, options)


def test_an_input_that_changes_meanwhile_is_refused_and_its_shards_are_taken_back(deployed, work, source, tmp_path):
    import contextlib

    @contextlib.contextmanager
    def change(job, folder):
        yield
        os.utime(source)

    folder = tmp_path / "out"
    job, options = job_of(deployed(), source, max_bad_rows=0.5)
    with pytest.raises(UserError, match="changed while it was read"):
        run_job(job, folder, options, change)
    assert not finished(folder)
    job, options = job_of(job.version, source, max_bad_rows=0.5)
    assert run_job(job, folder, options).skipped_shards == 0


def test_an_input_that_changes_before_it_is_read_is_refused(deployed, work, source, tmp_path):
    folder = tmp_path / "out"
    job, options = job_of(deployed(), source, max_bad_rows=0.5)
    pq.write_table(rows(SHARDS * 2000, seed=1), source, row_group_size=2000)
    with pytest.raises(UserError, match="changed while it was read"):
        run_job(job, folder, options)
    assert not finished(folder)


def test_a_remote_input_that_changes_meanwhile_is_refused(deployed, work, source, tmp_path):
    import contextlib

    import fsspec

    memory = fsspec.filesystem("memory")

    @contextlib.contextmanager
    def change(job, folder):
        yield
        memory.pipe("/changing/rows.parquet", source.read_bytes() + b" ")

    memory.pipe("/changing/rows.parquet", source.read_bytes())
    folder = tmp_path / "out"
    job, options = job_of(deployed(), "memory://changing/rows.parquet", max_bad_rows=0.5)
    with pytest.raises(UserError, match="changed while it was read"):
        run_job(job, folder, options, change)
    assert not finished(folder)


@pytest.mark.parametrize("manifest", ["{", "5", "\udcff"])
def test_a_damaged_manifest_is_told(deployed, work, source, tmp_path, manifest):
    folder = tmp_path / "out"
    job, options = job_of(deployed(), source, max_bad_rows=0.5)
    run_job(job, folder, options)
    (folder / "_manifest.json").write_text(manifest, errors="surrogateescape")
    with pytest.raises(UserError, match=r"_manifest\.json is damaged.*; give another folder, or delete that one"):
        run_job(job, folder, options)


@pytest.mark.parametrize("keep", ["metadata", "nothing"])
def test_a_shard_that_lost_rows_is_told(deployed, work, source, tmp_path, keep):
    folder = tmp_path / "out"
    job, options = job_of(deployed(), source, max_bad_rows=0.5)
    run_job(job, folder, options)
    shard = folder / next(iter(job.shards))
    table = pq.read_table(shard).slice(1)
    pq.write_table(table if keep == "metadata" else table.replace_schema_metadata(), shard)
    with pytest.raises(UserError, match="delete it and run again"):
        run_job(job, folder, options)


@pytest.mark.nightly
def test_worker_processes_of_beam_give_the_same(deployed, work, source, tmp_path):
    job, options = job_of(deployed(), source, max_bad_rows=0.5)
    run_job(job, tmp_path / "threads", options)
    beam = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    job, options = job_of(job.version, source, max_bad_rows=0.5, beam=beam)
    run_job(job, tmp_path / "processes", options)
    assert content(tmp_path / "processes") == content(tmp_path / "threads")
