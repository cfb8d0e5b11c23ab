"""Where a training process stands: its distribution strategy, and its part in the cluster that TF_CONFIG describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.errors import UserError
from components.learning.cluster import cluster
from components.learning.input import WHOLE, Share
from components.learning.legacy_keras import tf

Kind = Literal["single", "mirrored", "multi_worker", "parameter_server", "tpu"]
Wanted = Kind | Literal["auto"]
MIN_PART_BYTES = 256 * 1024
"""A variable is partitioned over the parameter servers into parts of at least this size."""


@dataclass(frozen=True)
class Place:
    """A training process.

    Attributes:
        is_chief: whether it writes what the training leaves.
        share: what it reads of the examples.
    """

    kind: Kind
    strategy: tf.distribute.Strategy
    is_chief: bool = True
    share: Share = WHOLE

    @property
    def replicas(self) -> int:
        """Copies of the network that take each step together, in all processes."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def own_replicas(self) -> int:
        """Those of this process."""
        return self.replicas // self.share.processes

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Which flags any process raised; all processes must ask at the same time."""
        if self.share.processes == 1:
            return flags
        return tuple(bool(count) for count in self._sum([float(flag) for flag in flags]))

    def of_chief(self, *values: float) -> tuple[float, ...]:
        """The chief's values, which may differ in the last bit from those of others; all must ask at the same time."""
        if self.share.processes == 1:
            return values
        mine = values if self.is_chief else [0.0] * len(values)
        return tuple(total / self.own_replicas for total in self._sum(mine))

    def _sum(self, values: Sequence[float]) -> list[float]:
        """Of all replicas."""
        own = self.strategy.run(tf.identity, args=(tf.constant(values, tf.float64),))
        total: list[float] = self.strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None).numpy().tolist()
        return total


def choose(wanted: Wanted, workers: int, accelerators: int) -> tuple[Kind, str]:
    """Which strategy, and why: up before out.

    Args:
        wanted: as configured.
        workers: processes that train.
        accelerators: of this process.
    """
    if wanted != "auto":
        return wanted, "as configured"
    if workers > 1:
        return "multi_worker", f"there are {workers} workers"
    if accelerators > 1:
        return "mirrored", f"there are {accelerators} accelerators in one machine"
    return "single", "there is one accelerator" if accelerators else "there is no accelerator"


def accelerators() -> int:
    """GPUs that TensorFlow can use here."""
    return len(tf.config.list_physical_devices("GPU"))


def take(kind: Kind) -> Place:
    """The place of this process; TensorFlow must not have run anything yet.

    Raises:
        UserError: the strategy cannot be had here.
    """
    if kind == "single":
        return Place(kind, tf.distribute.get_strategy())
    if kind == "mirrored":
        return Place(kind, tf.distribute.MirroredStrategy(tf.config.list_logical_devices("GPU") or cpus()))
    if kind == "tpu":
        return Place(kind, _tpu())
    if not cluster():
        raise UserError(f"train.strategy is {kind}, but TF_CONFIG is not set; use train.launch or strategy single")
    return _multi_worker() if kind == "multi_worker" else _coordinator()


def cpus() -> list[str]:
    """The logical CPU devices."""
    return [device.name for device in tf.config.list_logical_devices("CPU")]


def _multi_worker() -> Place:
    task, described = cluster()["task"], cluster()["cluster"]
    chiefs = len(described.get("chief", []))
    index = task["index"] + (chiefs if task["type"] == "worker" else 0)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Place("multi_worker", strategy, index == 0, Share(index, chiefs + len(described.get("worker", []))))


def _coordinator() -> Place:
    described = cluster()["cluster"]
    partitioner = tf.distribute.experimental.partitioners.MinSizePartitioner(MIN_PART_BYTES, len(described["ps"]))
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    strategy = tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=partitioner)
    return Place("parameter_server", strategy)


def serve_coordinator() -> None:
    """Does what the coordinator asks, until the process is ended."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    here = {"job_name": resolver.task_type, "task_index": resolver.task_id}
    tf.distribute.Server(resolver.cluster_spec(), **here, protocol="grpc").join()


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError):
        raise UserError("train.strategy is tpu, but there is no TPU here; use auto") from None
    return tf.distribute.TPUStrategy(resolver)
