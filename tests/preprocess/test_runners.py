"""Engines of Beam: that they are started, told to end and told of, and that all make the same examples."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import artifacts
from components.errors import UserError
from tests.preprocess.engines import ROOT, job_server, prism, stand_in_java, worker_pool
from tests.preprocess.parcels import Made, engine, records, section, snapshot

JARS = {
    "flink": "beam-runners-flink-1.20-job-server",
    "spark": "beam-runners-spark-3-job-server",
}


def test_without_java_a_job_server_cannot_be_started(tmp_path, monkeypatch):
    from components.preprocess.beam_pipeline import workers

    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        workers(engine(runner="spark"), tmp_path) as crew,
        pytest.raises(
            UserError, match=r"with Java, which is not here; install Java 11 .* preprocess.spark.job_endpoint"
        ),
        crew.pipeline("learn"),
    ):
        pass


def test_the_reason_is_found_among_traces(tmp_path):
    from components.preprocess.beam_pipeline import workers

    traces = """Pipeline job-1 failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness
Traceback (most recent call last):
  File "write.py", line 1, in process
RuntimeError: OSError: [Errno 28] No space left on device [while running 'write']

\tat java.base/java.lang.Thread.run(Thread.java:840)
\t... 12 more"""
    with (
        workers(engine(runner="spark"), tmp_path) as crew,
        pytest.raises(UserError, match=r"the work \(RuntimeError: OSError: \[Errno 28\] No space left .*'write'\]\)"),
        crew._failures_told(),
    ):
        raise RuntimeError(traces)


def test_a_job_server_that_is_not_there_is_named(tmp_path):
    from components.preprocess.beam_pipeline import workers

    keys = {"job_endpoint": "localhost:1", "worker_pool": "localhost:50000"}
    with (
        workers(engine(runner="flink", shared=str(tmp_path), flink=keys), tmp_path) as crew,
        pytest.raises(UserError, match=r"preprocess.flink.job_endpoint is localhost:1, where nothing answers"),
        crew.pipeline("learn"),
    ):
        pass


def assert_same(made: Made, cold: Made) -> None:
    """Equal constants and vocabularies, and equal examples in whatever order.

    Moments are sums, and the order in which an engine adds parts up is its own: the last bit may differ.
    """
    assert made.transform.constants.keys() == cold.transform.constants.keys()
    for name, learned in made.transform.constants.items():
        expected = artifacts.read_json(cold.folder / artifacts.CONSTANTS)[name]
        found = artifacts.read_json(made.folder / artifacts.CONSTANTS)[name]
        assert type(learned) is type(cold.transform.constants[name])
        assert found.keys() == expected.keys()
        for key, value in found.items():
            is_text = isinstance(value, str)
            assert value == (expected[key] if is_text else pytest.approx(expected[key], rel=1e-12)), (name, key)
    vocabularies = sorted(path.name for path in (cold.folder / artifacts.VOCABULARY).iterdir())
    assert vocabularies == sorted(path.name for path in (made.folder / artifacts.VOCABULARY).iterdir())
    for name in vocabularies:
        paths = [folder / artifacts.VOCABULARY / name for folder in (made.folder, cold.folder)]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name
    assert made.examples == cold.examples
    assert pq.read_table(made.folder / artifacts.HELDOUT).equals(pq.read_table(cold.folder / artifacts.HELDOUT))
    for part in ("train", "validation"):
        found, expected = records(made, part), records(cold, part)
        assert found.keys() == expected.keys()
        for serial, (floats, ids, label) in found.items():
            np.testing.assert_allclose(floats, expected[serial][0], rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(ids, expected[serial][1])
            assert label == expected[serial][2]
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in cold.folder.iterdir()}


def make_on(make, january: pa.Table, work: Path, **keys: Any) -> Made:
    for name in ("work", "empty", "shared"):
        (work / name).mkdir()
    made_from = snapshot(work / "data", "first", {"aa": january})
    if "job_endpoint" in keys[keys["runner"]]:
        keys["shared"] = str(work / "shared")
    config = section(validation_days=4, heldout_days=6, rows_per_shard=400, **keys)
    made = make(made_from, work / "empty", config, work / "work")
    assert not list((work / "shared").iterdir())
    return made


@pytest.mark.parametrize(
    ("runner", "master"), [("flink", "--flink-master [local]"), ("spark", "--spark-master-url local[2]")]
)
def test_one_job_server_is_started_for_a_step_and_stopped_with_it(tmp_path, monkeypatch, runner, master):
    from components.preprocess.beam_pipeline import workers

    stand_in_java(tmp_path / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "java"), prepend=":")
    handler = signal.getsignal(signal.SIGINT)
    keys = {"job_server_jar": str(tmp_path / "java" / "server.jar"), "workers": 2}
    with workers(engine(runner=runner, **{runner: keys}), tmp_path) as crew:
        for name in ("learn", "write"):
            with crew.pipeline(name) as pipeline:
                _ = (
                    pipeline
                    | beam.Create([name])
                    | beam.Map(lambda word: (tmp_path / word).write_text(f"{os.getpid()}"))
                )
        (started,) = (tmp_path / "java" / "java.log").read_text().splitlines()
        assert master in started
        assert (tmp_path / "learn").read_text() == (tmp_path / "write").read_text() == str(os.getpid())
        pid = int(started.split()[0])
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_step_that_is_told_to_end_ends_its_job(tmp_path):
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    from components.preprocess.beam_pipeline import workers

    with job_server(tmp_path) as jobs, worker_pool(tmp_path) as pool:
        service = beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(jobs))

        def states() -> list[int]:
            return [job.state for job in service.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info]

        def interrupt() -> None:
            while beam_job_api_pb2.JobState.RUNNING not in states():
                time.sleep(0.1)
            signal.raise_signal(signal.SIGINT)

        keys = {"job_endpoint": jobs, "worker_pool": pool}
        with (
            workers(engine(runner="flink", shared=str(tmp_path), flink=keys), tmp_path) as crew,
            pytest.raises(KeyboardInterrupt),
            crew.pipeline("learn") as pipeline,
        ):
            _ = pipeline | beam.Create([600]) | beam.Map(time.sleep)
            threading.Thread(target=interrupt, daemon=True).start()
        assert states() == [beam_job_api_pb2.JobState.CANCELLED]


@pytest.mark.nightly
def test_workers_in_other_processes_make_the_same(make, january, cold, tmp_path):
    """Through Beam's portable API, as Flink and Spark are spoken to, and through a shared folder."""
    with job_server(tmp_path) as jobs, worker_pool(tmp_path) as pool:
        made = make_on(make, january, tmp_path, runner="flink", flink={"job_endpoint": jobs, "worker_pool": pool})
    assert "Starting worker with command" in (tmp_path / "pool.log").read_text()
    assert_same(made, cold)


@pytest.mark.nightly
def test_workers_in_the_step_itself_make_the_same(make, january, cold, tmp_path, monkeypatch):
    """As with an engine of this machine, which sends the work back to the step's process."""
    stand_in_java(tmp_path / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "java"), prepend=":")
    jar = str(tmp_path / "java" / "server.jar")
    assert_same(make_on(make, january, tmp_path, runner="spark", spark={"job_server_jar": jar}), cold)


@pytest.mark.nightly
def test_a_pool_with_other_code_fails_the_step_in_one_sentence(make, january, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "components", other / "components")
    with (other / "components" / "preprocess" / "write.py").open("a") as code:
        code.write("# older\n")
    with job_server(tmp_path) as jobs, worker_pool(tmp_path, other) as pool, pytest.raises(UserError) as refused:
        make_on(make, january, tmp_path, runner="spark", spark={"job_endpoint": jobs, "worker_pool": pool})
    told = str(refused.value)
    assert told.startswith("preprocess.runner spark could not do the work (")
    assert "the worker's components/preprocess/write.py is not the step's" in told
    assert "\n" not in told


@pytest.mark.nightly
def test_prism_makes_the_same(make, january, cold, tmp_path):
    """Beam's own engine outside of Python, which schedules bundles and restarts them as Flink does."""
    program = shutil.which("prism") or shutil.which(str(Path.home() / "go" / "bin" / "prism"))
    if program is None:
        from apache_beam.version import __version__

        pytest.skip(f"there is no prism; `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{__version__}`")
    with prism(program, tmp_path) as jobs, worker_pool(tmp_path) as pool:
        made = make_on(make, january, tmp_path, runner="flink", flink={"job_endpoint": jobs, "worker_pool": pool})
    assert_same(made, cold)


@pytest.mark.nightly
@pytest.mark.parametrize("runner", ["flink", "spark"])
def test_an_engine_of_this_machine_makes_the_same(make, january, cold, tmp_path, runner):
    from apache_beam.utils.subprocess_server import JavaJarServer
    from apache_beam.version import __version__

    jar = Path(JavaJarServer.JAR_CACHE, f"{JARS[runner]}-{__version__}.jar")
    if shutil.which("java") is None:
        pytest.skip("there is no Java; install Java 11 or newer")
    if not jar.exists():
        artifact = f"org.apache.beam:{JARS[runner]}:{__version__}"
        pytest.skip(f"{jar} is missing; `mvn dependency:copy -Dartifact={artifact} -DoutputDirectory={jar.parent}`")
    made = make_on(make, january, tmp_path, runner=runner, **{runner: {"workers": 2}})
    assert_same(made, cold)
