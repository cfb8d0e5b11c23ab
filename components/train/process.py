"""What one training process does: with several, TF_CONFIG tells each its task. It knows nothing else but paths."""

import logging
import math
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.errors import UserError
from components.features.transform import Transform
from components.learning import memory, networks, place, saved_model, weights
from components.learning.checkpoint import Checkpoint
from components.learning.config import Network
from components.learning.fit import Budget, Fit, Fitted, Schedule
from components.learning.input import READ_ROWS, Position, Reader, Share, from_columns
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import Arithmetic, Material, loop
from components.learning.networks import NetworkSpec
from components.learning.objective import METRICS
from components.learning.place import Place
from components.train.config import Train, TrainConfig

log = logging.getLogger(__name__)
STEPS_PER_EPOCH = 200
BATCH_SIZES = (16, 1024)
CHECKPOINT = "checkpoint"
RESULT = "result"
DISK_CACHE = "cache"


@dataclass(frozen=True)
class Paths:
    """What a training process reads and writes; all processes see the same folders."""

    examples: Path
    """Artifact of preprocess."""
    base: Path
    """The version to start from; an empty folder where there is none."""
    scratch: Path
    """Of this very training: `checkpoint/` while it runs, `result/` when it is done."""
    log: Path
    """For TensorBoard."""

    @property
    def result(self) -> Path:
        """What the chief leaves: the artifact `model` without records."""
        return self.scratch / RESULT


@dataclass(frozen=True)
class Start:
    """What training starts from."""

    spec: NetworkSpec
    base_spec: NetworkSpec | None
    """The network of the base whose weights are taken; None for a cold start."""
    reason: str

    @property
    def kind(self) -> str:
        """`warm` or `cold`."""
        return "cold" if self.base_spec is None else "warm"


def train_process(paths: Paths, config: TrainConfig) -> None:
    """Trains, or does what a coordinator asks; the chief writes `result/`. Goes on from a checkpoint where there is one.

    Args:
        paths: what to read and write.
        config: the network and how it is fitted.

    Raises:
        UserError: it cannot be trained as configured.
        PreemptedError: the process was told to end; the checkpoint is saved.
    """
    kind, reason = place.choose(config.train.strategy, config.train.workers, place.accelerators())
    if place.serves_a_coordinator(kind):
        place.serve_coordinator()
        return
    if paths.result.exists():
        return
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    here = place.take(kind)
    log.info("strategy %s: %s; %d replicas in %d processes", kind, reason, here.replicas, here.share.processes)
    with _Told() as told:
        trained = _Training(paths, config, here, told)
        fitted = trained.run()
    if here.is_chief:
        trained.write(fitted, reason)


class _Told:
    """Whether SIGTERM came, from `with` to the end of its block."""

    def __enter__(self) -> Callable[[], bool]:
        self._came = False
        self._before = signal.signal(signal.SIGTERM, self._note)
        return lambda: self._came

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self._came = True


class _Training:
    """One training in this process."""

    def __init__(self, paths: Paths, config: TrainConfig, here: Place, told: Callable[[], bool]) -> None:
        self._paths, self._train, self._place = paths, config.train, here
        self._examples = artifacts.Examples.read(paths.examples)
        self._transform = Transform.read(paths.examples)
        self._start = choose_start(config.network, self._examples, paths.base)
        log.info("%s start: %s", self._start.kind, self._start.reason)
        tf_keras.utils.set_random_seed(config.train.seed + 1)  # with 0, tf.data cannot take a tensor as seed
        self._network, self._layers = _network(self._start, self._transform, paths.base)
        self._batch = batch_size(config.train, self._examples.rows["train"])
        self._rate = _learning_rate(config.train, self._start) * rate_factor(config.train, here.replicas)
        self._told = told
        self._cached = memory.Limits(config.train.cache_memory_share)

    def run(self) -> Fitted:
        """Trains to the end."""
        loop_ = loop(self._start.spec, self._place, self._train.seed, Arithmetic())
        loop_.restore(*weights.state(self._network))
        fit = Fit(
            loop_, self._network, self._start.spec, self._schedule(), self._budget(),
            Checkpoint(self._paths.scratch / CHECKPOINT), self._train.checkpoint_minutes * 60, self._told,
        )  # fmt: skip
        fitted = fit.run(self._material("train"), self._material("train", "validation"), self._validation())
        weights.restore(self._network, loop_.weights(), loop_.optimizer())
        return fitted

    def write(self, fitted: Fitted, reason: str) -> None:
        """Writes `result/`."""
        with artifacts.atomic_folder(self._paths.result) as folder:
            weights.save(self._network, folder)
            self._start.spec.write(folder)
            self._transform.write(folder)
            self._examples.write(folder)
            saved_model.export(self._network, self._transform, folder)
            artifacts.write_json(folder / artifacts.TRAINING, self._details(fitted, reason))

    def _schedule(self) -> Schedule:
        train = self._train
        return Schedule(train.epochs, self._rate, train.patience, train.target_metric, train.refit)

    def _budget(self) -> Budget:
        budget, processes = self._train.budget, self._train.process_count
        seconds = None if budget.max_minutes is None else budget.max_minutes * 60
        cores, accelerators = (os.cpu_count() or 1) * processes, place.accelerators() * processes
        per_hour = budget.core_hour * cores + budget.accelerator_hour * accelerators
        return Budget(seconds, budget.max_examples, budget.max_cost, per_hour)

    def _material(self, *parts: str) -> Material:
        rows = sum(self._examples.rows[part] for part in parts)
        steps = math.ceil(rows / (self._batch * self._place.replicas))

        def feed(share: Share, sizes: np.ndarray, position: Position) -> tf.data.Dataset:
            reader = Reader(self._paths.examples, self._examples, parts, share)
            return self._feed(reader, sizes, position)

        return Material(feed, rows, steps)

    def _feed(self, reader: Reader, sizes: np.ndarray, position: Position) -> tf.data.Dataset:
        if self._place.kind == "parameter_server":  # made in the workers, which share nothing: each has its own order
            return reader.streamed(sizes, None, position)
        kept = self._cached.place_for(reader.size_bytes, self._train.cache)
        if kept == "memory":
            return from_columns(reader.columns(), sizes, self._train.seed, position)
        return reader.streamed(sizes, self._train.seed, position)

    def _validation(self) -> tf.data.Dataset:
        reader = Reader(self._paths.examples, self._examples, ("validation",))
        if self._cached.place_for(reader.size_bytes, "auto") == "memory":
            columns = reader.columns()
            label = columns.pop("label")
            return tf.data.Dataset.from_tensor_slices((columns, label)).batch(READ_ROWS)
        return reader.in_order()

    def _details(self, fitted: Fitted, reason: str) -> dict[str, Any]:
        rows = self._examples.rows["train"]
        return {
            "start": self._start.kind,
            "start_reason": self._start.reason,
            "network": self._start.spec.network.model_dump(mode="json"),
            "parameters": self._network.count_params(),
            "layers": asdict(self._layers),
            "history": [asdict(epoch) for epoch in fitted.history],
            "metric": fitted.metric,
            "best_epoch": fitted.best_epoch,
            "stopped": fitted.stopped,
            "budget_stopped": fitted.budget_stopped,
            "refit": fitted.refit and asdict(fitted.refit),
            "examples": rows,
            "examples_seen": fitted.examples,
            "examples_per_s": round(fitted.examples / fitted.seconds),
            "seconds": fitted.seconds,
            "resumed": fitted.resumed,
            "strategy": self._place.kind,
            "strategy_reason": reason,
            "replicas": self._place.replicas,
            "batch_size": self._batch * self._place.replicas,
            "learning_rate": self._rate,
        }


def choose_start(network: Network, examples: artifacts.Examples, base: Path) -> Start:
    """Warm from the base's weights where preprocess kept the base's ids and the network is the same; else cold.

    A warm network keeps the base's embedding widths, which would follow a grown vocabulary otherwise.
    """
    spec = NetworkSpec.of(network, examples)
    if examples.base_version is None:
        return Start(spec, None, examples.start_reason)
    base_spec = NetworkSpec.read(base)
    for what in ("network", "task", "classes", "floats", "id_names"):
        if getattr(spec, what) != getattr(base_spec, what):
            return Start(spec, None, f"{what} differs from that of version {examples.base_version}")
    return Start(replace(spec, embedding_widths=base_spec.embedding_widths), base_spec, examples.start_reason)


def batch_size(train: Train, examples: int) -> int:
    """The configured size, or a power of two within BATCH_SIZES that gives at least STEPS_PER_EPOCH steps an epoch."""
    if train.batch_size is not None:
        return train.batch_size
    smallest, largest = BATCH_SIZES
    wanted = max(1, examples // STEPS_PER_EPOCH)
    return min(largest, max(smallest, 1 << (wanted.bit_length() - 1)))


def rate_factor(train: Train, replicas: int) -> float:
    """What the learning rate is multiplied by with so many replicas."""
    return {"none": 1.0, "sqrt": math.sqrt(replicas), "linear": float(replicas)}[train.learning_rate_scaling]


def check(examples: artifacts.Examples) -> None:
    """Refuses examples of which a part is empty.

    Raises:
        UserError: names the part.
    """
    for part in ("train", "validation"):
        if not examples.rows[part]:
            raise UserError(f"there are no {part} examples; bring more data or change preprocess.{part}_days or _share")


def _learning_rate(train: Train, start: Start) -> float:
    return train.learning_rate if start.base_spec is None else train.warm_learning_rate


def _network(start: Start, transform: Transform, base: Path) -> tuple[tf_keras.Model, weights.Layers]:
    network = networks.build(start.spec)
    weights.add_optimizer(network)
    if start.base_spec is None:
        return network, weights.Layers(new=[layer.name for layer in network.layers if layer.weights])
    maps = weights.row_maps(start.spec, transform, start.base_spec, Transform.read(base))
    return network, weights.warm_start(network, base, maps)
