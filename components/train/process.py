"""What one training process does: with several, TF_CONFIG tells each its task. It knows nothing else but paths."""

import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components import artifacts
from components.errors import UserError
from components.features.transform import Transform
from components.learning import arithmetic, networks, place, saved_model, weights
from components.learning.changes import changes
from components.learning.checkpoint import Checkpoint
from components.learning.cluster import serves_a_coordinator
from components.learning.course import Budget, Fitted, Schedule
from components.learning.fit import Fit
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import Arithmetic, Loop, loop
from components.learning.material import Materials
from components.learning.networks import NetworkSpec
from components.learning.objective import METRICS
from components.learning.place import Place
from components.learning.processors import available_cores
from components.learning.tensorboard import Watcher
from components.learning.termination import Termination
from components.train.config import Train, TrainConfig
from components.train.paths import Paths

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What training starts from."""

    spec: NetworkSpec
    base_spec: NetworkSpec | None
    """The network of the base whose weights are taken; None for a cold start."""
    reason: str
    mix: weights.Mix = weights.BASE_ONLY
    """How the base's weights are mixed with fresh ones."""

    @property
    def kind(self) -> str:
        """`warm` or `cold`."""
        return "cold" if self.base_spec is None else "warm"


def train_process(paths: Paths, config: TrainConfig) -> None:
    """Trains, or does what a coordinator asks; the chief writes `result/`. A checkpoint is gone on from.

    Args:
        paths: what to read and write.
        config: the network and how it is fitted.

    Raises:
        UserError: it cannot be trained as configured.
        PreemptedError: the process was told to end; the checkpoint is saved.
    """
    if serves_a_coordinator():
        place.serve_coordinator()
        return
    if paths.result.exists():
        return
    kind, reason = place.choose(config.train.strategy, config.train.workers, place.accelerators())
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    here = place.take(kind)
    log.info("strategy %s: %s; %d replicas in %d processes", kind, reason, here.replicas, here.share.processes)
    with Termination() as told:
        trained = _Training(paths, config, here, told)
        fitted = trained.run()
    if here.is_chief:
        trained.write(fitted, reason)
    here.agree(True)  # a chief that is killed while it writes takes the others with it, and all are tried again


class _Training:
    """One training in this process."""

    def __init__(self, paths: Paths, config: TrainConfig, here: Place, told: Callable[[], bool]) -> None:
        self._paths, self._config, self._train, self._place, self._told = paths, config, config.train, here, told
        self._examples = artifacts.Examples.read(paths.examples)
        self._transform = Transform.read(paths.examples)
        self._start = choose_start(config, self._examples, paths.base)
        log.info("%s start: %s", self._start.kind, self._start.reason)
        beside = here.share.processes if config.train.launch == "local" else 1
        # Begins to read.
        self._materials = Materials(paths.examples, self._examples, config.train, here, paths.cache, beside)
        tf_keras.utils.set_random_seed(config.train.seed + 1)  # with 0, tf.data cannot take a tensor as seed
        self._network, self._layers = _network(self._start, self._transform, paths.base)
        self._rate = _learning_rate(config.train, self._start) * rate_factor(config.train, here.replicas)
        self._arithmetic, self._arithmetic_reason = arithmetic.remembered(paths.arithmetic, self._choose_arithmetic)

    def run(self) -> Fitted:
        """Trains to the end."""
        with contextlib.ExitStack() as stack:
            made = self._loop(self._arithmetic)
            checkpoint, every_s = Checkpoint(self._paths.checkpoint), self._train.checkpoint_minutes * 60
            watchers = [stack.enter_context(self._tensorboard())] if self._place.is_chief else []
            fit = Fit(
                made, self._network, self._schedule(), self._budget(), checkpoint, every_s,
                self._told, watchers,
            )  # fmt: skip
            of = self._materials.of
            fitted = fit.run(of("train"), of("train", "validation"), self._materials.validation())
        weights.restore(self._network, made.weights(), made.optimizer())
        return fitted

    def _loop(self, chosen: Arithmetic) -> Loop:
        made = loop(self._start.spec, self._place, self._train.seed, chosen)
        made.restore(*weights.state(self._network))
        return made

    def _choose_arithmetic(self) -> tuple[Arithmetic, str]:
        alone = self._place.share.processes == 1 and self._place.kind != "parameter_server"
        measure = self._steps_per_s if alone else None
        return arithmetic.choose(self._train.precision, self._train.xla, measure, bool(place.accelerators()))

    def _steps_per_s(self, candidate: Arithmetic) -> float:
        return arithmetic.speed_of(self._loop, *self._materials.one_batch())(candidate)

    def _tensorboard(self) -> Watcher:
        return Watcher(self._paths.log, METRICS[self._start.spec.task], self._config.to_json())

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
        machines = 1 if self._train.launch == "local" else self._train.process_count
        return self._train.budget.limits(available_cores() * machines, self._accelerators(machines))

    def _accelerators(self, machines: int) -> int:
        """Of all machines; with parameter servers the workers have them, and not this process."""
        if self._train.launch == "tfjob" and self._train.tfjob.gpus is not None:
            return self._train.tfjob.gpus * self._train.workers
        return self._place.replicas if self._place.kind == "tpu" else place.accelerators() * machines

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
            "batch_size": self._materials.batch_size * self._place.replicas,
            "learning_rate": self._rate,
            "precision": self._arithmetic.precision,
            "xla": self._arithmetic.xla,
            "arithmetic_reason": self._arithmetic_reason,
        }


def choose_start(config: TrainConfig, examples: artifacts.Examples, base: Path) -> Start:
    """Warm from the base's weights where preprocess kept the base's ids and the weights fit the network; else cold.

    A warm network keeps the base's embedding widths, which would follow a grown vocabulary otherwise.

    Raises:
        UserError: the network changed, and `train.changed_network` refuses that.
    """
    spec = NetworkSpec.of(config.network, examples)
    if not (base / artifacts.NETWORK).exists():
        return Start(spec, None, examples.start_reason)
    base_spec = NetworkSpec.read(base)
    changed = changes(config.network, base_spec.network)
    if changed and config.train.changed_network == "refuse":
        raise UserError(f"{changed} in the version to start from; change it back or set train.changed_network to cold")
    others = [
        what for what in ("task", "classes", "floats", "id_names") if getattr(spec, what) != getattr(base_spec, what)
    ]
    if examples.base_version is None or changed or others:
        reason = examples.start_reason
        if examples.base_version is not None:
            reason = f"{changed or ', '.join(others) + ' changed'} in version {examples.base_version}"
        log.warning("cold start, although there is a version to start from: %s", reason)
        return Start(spec, None, reason)
    mix = weights.Mix(config.train.shrink, config.train.perturb)
    return Start(replace(spec, embedding_widths=base_spec.embedding_widths), base_spec, examples.start_reason, mix)


def rate_factor(train: Train, replicas: int) -> float:
    """What the learning rate is multiplied by with so many replicas."""
    return {"none": 1.0, "sqrt": math.sqrt(replicas), "linear": float(replicas)}[train.learning_rate_scaling]


def _learning_rate(train: Train, start: Start) -> float:
    return train.learning_rate if start.base_spec is None else train.warm_learning_rate


def _network(start: Start, transform: Transform, base: Path) -> tuple[tf_keras.Model, weights.Layers]:
    network = networks.build(start.spec)
    weights.add_optimizer(network)
    if start.base_spec is None:
        return network, weights.Layers(new=[layer.name for layer in network.layers if layer.weights])
    maps = weights.row_maps(start.spec, transform, start.base_spec, Transform.read(base))
    return network, weights.warm_start(network, base, maps, start.mix)
