"""The keys that name an engine of Beam: what is refused, and which options Beam gets."""

from typing import Any

import apache_beam as beam
import numpy as np
import pytest

from components.errors import UserError
from components.preprocess.beam_options import beam_options
from tests.preprocess.engines import ROOT
from tests.preprocess.parcels import engine, section

CLOUD: dict[str, Any] = {
    "project": "a-project",
    "region": "europe-west1",
    "sdk_container_image": "docker.example/preprocess@sha256:00",
}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"runner": "samza"}, "preprocess.runner is \"samza\"; it must be 'direct', 'flink', 'spark' or 'dataflow'"),
        ({"flink": {}}, "preprocess.flink is set, but preprocess.runner is direct; remove flink or set runner: flink"),
        ({"runner": "flink", "spark": {}}, "preprocess.spark is set, but preprocess.runner is flink"),
        ({"runner": "flink", "flink": {"machine_type": "n2"}}, "preprocess.flink.machine_type is not a known key"),
        ({"runner": "flink", "flink": {"master": "http://a:1"}}, "preprocess.flink.master is"),
        ({"runner": "flink", "flink": {"master": "jobs:8081"}}, "worker_pool is missing"),
        ({"runner": "flink", "flink": {"job_endpoint": "jobs:8099"}}, "worker_pool is missing"),
        (
            {"runner": "flink", "flink": {"master": "jobs:8081", "worker_pool": "localhost:50000"}},
            "preprocess.shared is missing, without which the workers of flink do not see the step's files",
        ),
        (
            {
                "runner": "spark",
                "shared": "/mnt/shared",
                "spark": {"master": "spark://a:7077", "job_endpoint": "a:8099", "worker_pool": "localhost:50000"},
            },
            "master is for a job server that the step starts; remove it or job_endpoint",
        ),
        (
            {"runner": "spark", "spark": {"workers": 2, "job_endpoint": "a:8099", "worker_pool": "localhost:50000"}},
            "workers is for a job server that the step starts",
        ),
        ({"runner": "spark", "spark": {"workers": 0}}, "preprocess.spark.workers is 0"),
        ({"runner": "flink", "shared": "s3://bucket/beam"}, "mount one volume"),
        ({"runner": "flink", "shared": "/"}, "preprocess.shared is /, but TensorFlow Transform writes only to folders"),
        ({"shared": "/mnt/shared"}, "preprocess.shared has no meaning for preprocess.runner direct"),
        ({"runner": "dataflow"}, "needs project, region and sdk_container_image"),
        ({"runner": "dataflow", "dataflow": CLOUD}, "preprocess.shared is missing, but dataflow's workers see only"),
        ({"runner": "dataflow", "shared": "/mnt", "dataflow": CLOUD}, "name a folder as gs://bucket/folder"),
        ({"runner": "dataflow", "shared": "gs://", "dataflow": CLOUD}, "preprocess.shared is gs://, but dataflow's"),
        (
            {"runner": "dataflow", "shared": "gs://b/f", "dataflow": {**CLOUD, "labels": {"model": "My Flights"}}},
            "labels has model: My Flights; write both in a-z",
        ),
        (
            {"runner": "dataflow", "shared": "gs://b/f", "dataflow": {**CLOUD, "workers": 20}},
            "workers 20 is above max_workers 10",
        ),
        (
            {
                "runner": "dataflow",
                "shared": "gs://b/f",
                "dataflow": {**CLOUD, "flexrs": "COST_OPTIMIZED", "shuffle_service": False},
            },
            "flexrs works with the shuffle service only",
        ),
    ],
)
def test_refuses_by_name(keys, words):
    with pytest.raises(UserError) as refused:
        section(**keys)
    assert words in str(refused.value)


def test_the_default_is_this_process():
    assert (section().preprocess.runner, section().preprocess.job_server) == ("direct", None)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"runner": "direct"}, {}),
        (
            {"runner": "flink"},
            {"flink_master": "[local]", "flink_version": "1.20", "environment_type": "LOOPBACK"},
        ),
        (
            {
                "runner": "flink",
                "shared": "/mnt/shared",
                "flink": {"master": "jobs:8081", "workers": 8, "worker_pool": "localhost:50000", "version": "1.19"},
            },
            {
                "flink_master": "jobs:8081",
                "flink_version": "1.19",
                "parallelism": 8,
                "environment_type": "EXTERNAL",
                "environment_config": "localhost:50000",
            },
        ),
        (
            {
                "runner": "flink",
                "shared": "/mnt/shared",
                "flink": {"job_endpoint": "jobs:8099", "worker_pool": "localhost:50000"},
            },
            # [auto], Beam's default, leaves the master to the job server.
            {"job_endpoint": "jobs:8099", "environment_type": "EXTERNAL", "flink_master": "[auto]"},
        ),
        (
            {"runner": "spark", "spark": {"workers": 2, "job_server_jar": "/jars/spark.jar"}},
            {"spark_master_url": "local[2]", "spark_job_server_jar": "/jars/spark.jar"},
        ),
        (
            {
                "runner": "spark",
                "shared": "/mnt/shared",
                "spark": {"master": "spark://a:7077", "workers": 16, "worker_pool": "localhost:50000"},
            },
            {"spark_master_url": "spark://a:7077", "job_server_jvm_properties": ["-Dspark.cores.max=16"]},
        ),
        (
            {
                "runner": "dataflow",
                "shared": "gs://b/f",
                "dataflow": {
                    **CLOUD,
                    "service_account": "beam@a-project.iam.gserviceaccount.com",
                    "machine_type": "n2-standard-4",
                    "workers": 3,
                    "max_workers": 20,
                    "disk_gb": 50,
                    "subnetwork": "regions/europe-west1/subnetworks/private",
                    "flexrs": "COST_OPTIMIZED",
                    "labels": {"model": "flights"},
                },
            },
            {
                "project": "a-project",
                "region": "europe-west1",
                "job_name": "evergreen-learn-1",
                "temp_location": "gs://b/f/1/temp",
                "staging_location": "gs://b/f/1/staging",
                "service_account_email": "beam@a-project.iam.gserviceaccount.com",
                "sdk_container_image": "docker.example/preprocess@sha256:00",
                "sdk_location": "container",
                "machine_type": "n2-standard-4",
                "num_workers": 3,
                "max_num_workers": 20,
                "disk_size_gb": 50,
                "subnetwork": "regions/europe-west1/subnetworks/private",
                "use_public_ips": False,
                "flexrs_goal": "COST_OPTIMIZED",
                "experiments": ["shuffle_mode=service"],
                "labels": ["model=flights"],
            },
        ),
        (
            {
                "runner": "dataflow",
                "shared": "gs://b/f",
                "dataflow": {**CLOUD, "public_ips": True, "shuffle_service": False},
            },
            {"use_public_ips": True, "experiments": ["shuffle_mode=appliance"], "max_num_workers": 10},
        ),
    ],
)
def test_beam_understands_the_options(keys, expected):
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = beam_options(engine(**keys), "evergreen-learn-1", "gs://b/f/1")
    understood = PipelineOptions(flags).get_all_options()
    assert {name: understood[name] for name in expected} == expected
    negations = {"no_use_public_ips", "no_pipeline_type_check"}
    assert {flag.split("=")[0].removeprefix("--") for flag in flags} <= {*understood, *negations}


def test_the_engine_changes_nothing_that_is_worth_a_run():
    from components.config import load
    from components.orchestration.draw import training_digest

    model = ROOT / "models" / "flights"
    digest = training_digest(load(model))
    assert training_digest(load(model, ("preprocess.runner=spark", "preprocess.spark.workers=4"))) == digest
    assert training_digest(load(model, ("preprocess.rows_per_shard=400",))) != digest


def test_without_googles_clients_dataflow_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from components.preprocess.beam_pipeline import Workers
    from components.preprocess.exchange import Exchange

    for name in ("google.cloud.dataflow", "apache_beam.runners.dataflow.internal.apiclient"):
        monkeypatch.setitem(sys.modules, name, None)
    crew = Workers(engine(runner="dataflow", shared="gs://b/f", dataflow=CLOUD), Exchange("gs://b/f/1", tmp_path))
    with pytest.raises(UserError, match=r"install apache-beam\[gcp\]"), crew.pipeline("learn"):
        pass


def test_dataflow_gets_the_whole_job(tmp_path):
    """Both pipelines are translated for the service, and the description of the job is made; only sending it is not."""
    pytest.importorskip("google.cloud.dataflow", reason="needs the package google-cloud-dataflow-client; install it")
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
    from apache_beam.runners.dataflow.internal import apiclient

    from components.features.transform import source_columns
    from components.preprocess.analysis import Analysis
    from components.preprocess.learn import analyze_pieces
    from components.preprocess.pieces import Piece, Shard
    from components.preprocess.record_batches import RecordBatches
    from components.preprocess.write import WriteShard

    config = section()
    cloud = {**CLOUD, "machine_type": "n2-standard-4", "flexrs": "COST_OPTIMIZED", "service_account": "beam@a.iam"}
    keys = engine(runner="dataflow", shared="gs://bucket/beam", dataflow=cloud)
    learning = [feature for feature in config.features if feature.learns != "nothing"]
    analysis, batches = Analysis(learning, config.data), RecordBatches(source_columns(learning), config.data)
    piece = Piece("gs://bucket/beam/1/rows/0.parquet", 0, np.arange(3))
    writer = WriteShard("gs://bucket/beam/1/graph", batches.schema.names, config.data, "gs://bucket/beam/1/shards")

    def learn(pipeline: beam.Pipeline) -> None:
        with tft_beam.Context(temp_dir=str(tmp_path)):
            analyze_pieces(pipeline, [(piece, True)], batches, analysis.analyze, str(tmp_path / "found"))

    def write(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([Shard("one", (piece,), 0)]) | beam.ParDo(writer)

    for draw in (learn, write):
        options = PipelineOptions([*beam_options(keys, "evergreen-1", "gs://bucket/beam/1"), "--dry_run=true"])
        assert PipelineOptionsValidator(options, DataflowRunner()).validate() == []
        pipeline = beam.Pipeline(runner=DataflowRunner(), options=options)
        draw(pipeline)
        job = pipeline.run().job
        made = apiclient.Environment([], job.options, "8", "gs://bucket/beam/1/staging/p", job.proto_pipeline).proto
        (pool,) = made.worker_pools
        assert job.proto.name == "evergreen-1"
        assert made.temp_storage_prefix.startswith("storage.googleapis.com/bucket/beam/1/temp/")
        assert made.service_account_email == "beam@a.iam"
        assert made.flex_resource_scheduling_goal.name == "FLEXRS_COST_OPTIMIZED"
        assert "shuffle_mode=service" in made.experiments
        assert (pool.machine_type, pool.autoscaling_settings.max_num_workers) == ("n2-standard-4", 10)
        assert pool.ip_configuration.name == "WORKER_IP_PRIVATE"
        assert {image.container_image for image in pool.sdk_harness_container_images} == {CLOUD["sdk_container_image"]}
