"""The part of the section `preprocess` that names the engine which runs Apache Beam, and says how."""

import re
from typing import Literal

from pydantic import Field, model_validator

from components.schema import Section

Runner = Literal["direct", "flink", "spark", "dataflow"]
LOCAL = "local"
ADDRESS = r"^[^\s/:]+:\d{1,5}$"
MOST_WORKERS = 10_000
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")
BUCKET_FOLDER = re.compile(r"gs://[^/\s]+(/.*)?")


class JobServer(Section):
    """How Beam's job server for an engine is reached or started, and where the step's code runs."""

    workers: int | None = Field(
        None, ge=1, le=MOST_WORKERS, description="parts of the work that run at once; null: the engine's own default"
    )
    job_endpoint: str | None = Field(
        None,
        pattern=ADDRESS,
        description="host:port of a running Beam job server of this engine, which then decides on the master; null: "
        "one is started beside the step, which needs Java 11 or newer",
    )
    job_server_jar: str | None = Field(
        None,
        min_length=1,
        description="path of the job server's jar; null: Beam downloads it from Maven Central once, and keeps it below "
        "~/.apache_beam/cache/jars",
    )
    worker_pool: str | None = Field(
        None,
        pattern=ADDRESS,
        description="host:port at which every worker of the engine finds a Beam worker pool in preprocess's image, "
        "such as localhost:50000 for a sidecar; null: the step's own process works, for an engine of this machine only",
    )
    master: str

    @property
    def is_remote(self) -> bool:
        """Whether the engine runs elsewhere, so that its workers do not see the step's files."""
        return self.job_endpoint is not None or self.master != LOCAL

    @model_validator(mode="after")
    def _check(self) -> "JobServer":
        if self.job_endpoint is not None:
            for name in ("master", "job_server_jar"):
                if name in self.model_fields_set and getattr(self, name) not in (None, LOCAL):
                    raise ValueError(f"{name} is for a job server that the step starts; remove it or job_endpoint")
        if self.is_remote and self.worker_pool is None:
            raise ValueError(
                "worker_pool is missing, without which an engine elsewhere has no Python to run; name the address at "
                "which each of its workers reaches a pool, such as localhost:50000"
            )
        return self


class Flink(JobServer):
    """Apache Flink, through Beam's job server."""

    master: str = Field(
        LOCAL,
        pattern=rf"^({LOCAL}|[^\s/:]+:\d{{1,5}})$",
        description="host:port of the JobManager's REST API; local: an engine inside the job server",
    )
    version: Literal["1.19", "1.20", "2.0", "2.1", "2.2"] = Field(
        "1.20", description="of Flink, which the job server and the cluster must share"
    )


class Spark(JobServer):
    """Apache Spark 3, through Beam's job server."""

    master: str = Field(
        LOCAL,
        pattern=rf"^({LOCAL}|spark://[^\s/:]+:\d{{1,5}})$",
        description="spark://host:port of a standalone master; local: an engine inside the job server",
    )

    @model_validator(mode="after")
    def _check_workers(self) -> "Spark":
        if self.job_endpoint is not None and self.workers is not None:
            raise ValueError("workers is for a job server that the step starts; remove it or job_endpoint")
        return self


class Dataflow(Section):
    """Google Cloud Dataflow."""

    project: str = Field(min_length=6, description="id of the project that owns and pays for the job")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+\d+$", description="region of the job and its workers")
    sdk_container_image: str = Field(
        min_length=1, description="image of the workers: preprocess's, with Beam's boot program as its entry point"
    )
    service_account: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="e-mail of the workers' identity; null: the project's default"
    )
    machine_type: str | None = Field(None, min_length=1, description="of the workers; null: Dataflow's choice")
    workers: int | None = Field(None, ge=1, le=MOST_WORKERS, description="workers to start with; null: its choice")
    max_workers: int = Field(10, ge=1, le=MOST_WORKERS, description="most workers at once, which limits the cost")
    disk_gb: int | None = Field(None, ge=10, le=65_536, description="disk of a worker in GB; null: its choice")
    public_ips: bool = Field(False, description="whether workers have public addresses")
    subnetwork: str | None = Field(
        None,
        min_length=1,
        description="of the workers, as regions/REGION/subnetworks/NAME; without public addresses it needs Private "
        "Google Access; null: the project's default",
    )
    flexrs: Literal["COST_OPTIMIZED", "SPEED_OPTIMIZED"] | None = Field(
        None, description="preemptible workers at a discount, for a start that may wait up to six hours; null: no"
    )
    shuffle_service: bool = Field(True, description="whether Dataflow shuffles outside of the workers")
    labels: dict[str, str] = Field(default_factory=dict, description="of the job, to know its cost by")

    @model_validator(mode="after")
    def _check(self) -> "Dataflow":
        for key, value in self.labels.items():
            if not LABEL.fullmatch(f"{key}={value}"):
                raise ValueError(
                    f"labels has {key}: {value}; write both in a-z, 0-9, _ and -, at most 63, the key beginning with a "
                    "letter"
                )
        if self.workers is not None and self.workers > self.max_workers:
            raise ValueError(f"workers {self.workers} is above max_workers {self.max_workers}; lower it or raise that")
        if self.flexrs is not None and not self.shuffle_service:
            raise ValueError("flexrs works with the shuffle service only; set shuffle_service: true or remove flexrs")
        return self


class Engine(Section):
    """The engine's keys of the section `preprocess`; which one is chosen changes nothing of what is made."""

    runner: Runner = Field(
        "direct", description="engine that runs Apache Beam; direct: the step's own process, on one machine"
    )
    flink: Flink | None = Field(None, description="options of runner flink")
    spark: Spark | None = Field(None, description="options of runner spark")
    dataflow: Dataflow | None = Field(None, description="options of runner dataflow")
    shared: str | None = Field(
        None,
        min_length=1,
        description="folder through which the step and an engine elsewhere hand each other files, emptied after each "
        "run: the absolute path at which the step and all workers mount one volume; gs://bucket/folder for dataflow",
    )

    @property
    def job_server(self) -> Flink | Spark | None:
        """The options of the runner, where Beam has a job server for it."""
        if self.runner == "flink":
            return self.flink or Flink()
        return (self.spark or Spark()) if self.runner == "spark" else None

    @model_validator(mode="after")
    def _check_engine(self) -> "Engine":
        for name in ("flink", "spark", "dataflow"):
            if name != self.runner and getattr(self, name) is not None:
                raise ValueError(
                    f"preprocess.{name} is set, but preprocess.runner is {self.runner}; remove {name} or set "
                    f"runner: {name}"
                )
        if self.runner == "dataflow" and self.dataflow is None:
            raise ValueError(
                "preprocess.runner is dataflow, which needs project, region and sdk_container_image; add them in "
                "preprocess.dataflow"
            )
        self._check_shared()
        return self

    def _check_shared(self) -> None:
        if self.runner == "direct" and self.shared is not None:
            raise ValueError("preprocess.shared has no meaning for preprocess.runner direct; remove it")
        if self.runner == "dataflow" and not BUCKET_FOLDER.fullmatch(self.shared or ""):
            raise ValueError(
                f"preprocess.shared is {self.shared or 'missing'}, but dataflow's workers see only buckets; name a "
                "folder as gs://bucket/folder"
            )
        if self.job_server is None:
            return
        if self.shared is not None and (not self.shared.startswith("/") or not self.shared.strip("/")):
            raise ValueError(
                f"preprocess.shared is {self.shared}, but TensorFlow Transform writes only to folders there; mount one "
                "volume for the step and all workers and name its absolute path"
            )
        if self.job_server.is_remote and self.shared is None:
            raise ValueError(
                f"preprocess.shared is missing, without which the workers of {self.runner} do not see the step's "
                "files; mount one volume for the step and all workers and name its absolute path"
            )
