"""The options with which Apache Beam runs a pipeline, for each engine. Without TensorFlow."""

from components.preprocess.runners import LOCAL, Dataflow, Engine, Flink, Spark

# Type checks cost a second a pipeline and find nothing that a test of the step does not.
COMMON = ("--no_pipeline_type_check",)


def beam_options(engine: Engine, job: str, folder: str) -> list[str]:
    """Beam's command line for a job.

    Args:
        engine: the runner and its options.
        job: the name under which an engine elsewhere shows the job: a-z, 0-9, -.
        folder: for what the job stages and keeps while it runs; Dataflow needs gs://….
    """
    if engine.dataflow is not None:
        return [*COMMON, f"--job_name={job}", *_dataflow(engine.dataflow, folder)]
    if engine.job_server is None:
        return list(COMMON)
    return [*COMMON, f"--job_name={job}", *_job_server(engine.job_server)]


def _job_server(server: Flink | Spark) -> list[str]:
    options = _environment(server)
    options += _flink(server) if isinstance(server, Flink) else _spark(server)
    if server.job_endpoint is not None:
        options.append(f"--job_endpoint={server.job_endpoint}")
    return options


def _environment(server: Flink | Spark) -> list[str]:
    """Where Python runs: in a pool beside each of the engine's workers, or in this process."""
    if server.worker_pool is None:
        return ["--environment_type=LOOPBACK"]
    return ["--environment_type=EXTERNAL", f"--environment_config={server.worker_pool}"]


def _flink(flink: Flink) -> list[str]:
    options = [f"--flink_version={flink.version}"]
    if flink.workers is not None:
        options.append(f"--parallelism={flink.workers}")
    if flink.job_endpoint is None:
        options.append(f"--flink_master={'[local]' if flink.master == LOCAL else flink.master}")
    if flink.job_server_jar is not None:
        options.append(f"--flink_job_server_jar={flink.job_server_jar}")
    return options


def _spark(spark: Spark) -> list[str]:
    options = []
    if spark.job_endpoint is None:
        at_once = "*" if spark.workers is None else spark.workers
        options.append(f"--spark_master_url={f'local[{at_once}]' if spark.master == LOCAL else spark.master}")
    if spark.master != LOCAL and spark.workers is not None:
        # Spark's client reads its settings from the properties of its process.
        options.append(f"--job_server_jvm_properties=-Dspark.cores.max={spark.workers}")
    if spark.job_server_jar is not None:
        options.append(f"--spark_job_server_jar={spark.job_server_jar}")
    return options


def _dataflow(dataflow: Dataflow, folder: str) -> list[str]:
    given = {
        "service_account_email": dataflow.service_account,
        "machine_type": dataflow.machine_type,
        "num_workers": dataflow.workers,
        "disk_size_gb": dataflow.disk_gb,
        "subnetwork": dataflow.subnetwork,
        "flexrs_goal": dataflow.flexrs,
    }
    return [
        f"--project={dataflow.project}",
        f"--region={dataflow.region}",
        f"--temp_location={folder}/temp",
        f"--staging_location={folder}/staging",
        f"--sdk_container_image={dataflow.sdk_container_image}",
        # The image has Beam; without this the step would download it and upload it for the workers.
        "--sdk_location=container",
        f"--max_num_workers={dataflow.max_workers}",
        "--use_public_ips" if dataflow.public_ips else "--no_use_public_ips",
        f"--experiments=shuffle_mode={'service' if dataflow.shuffle_service else 'appliance'}",
        *(f"--{name}={value}" for name, value in given.items() if value is not None),
        *(f"--labels={key}={value}" for key, value in sorted(dataflow.labels.items())),
    ]
