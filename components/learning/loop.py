"""Training steps of one network, some of them in each call, under any distribution strategy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.learning import networks, variables
from components.learning.dropout import masks_of
from components.learning.input import WHOLE, Position, Share, batch_sizes
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec
from components.learning.objective import example_losses
from components.learning.place import Place
from components.learning.variables import State

STEPS_PER_CALL = 50
CALLS_PER_WORKER = 2
"""Calls that wait at a worker of a parameter server strategy, so that it is never idle."""
Feed = Callable[[Share, np.ndarray, Position], tf.data.Dataset]
"""A process's share, the sizes of its batches in an epoch, and where to begin → (inputs, label) of endless epochs."""
Build = Callable[[NetworkSpec], tf_keras.Model]
Losses = Callable[[NetworkSpec, dict[str, tf.Tensor], tf.Tensor, tf.Tensor], tf.Tensor]
"""Specification, inputs, labels (batch, 1) and predictions (batch, outputs) → the loss of each example, (batch,)."""


@dataclass(frozen=True)
class Material:
    """What is trained on."""

    feed: Feed
    rows: int
    steps: int
    """Steps an epoch."""


@dataclass(frozen=True)
class Rate:
    """The learning rate by step: constant, or from `start` along a cosine to zero."""

    start: float
    first: int = 0
    """The optimizer's steps at the beginning of the cosine."""
    steps: int = 0
    """Steps to zero; 0 for a constant rate."""

    def tensors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """For the graph."""
        return tf.constant(self.start, tf.float32), tf.constant(self.first, tf.int64), tf.constant(self.steps, tf.int64)


@dataclass(frozen=True)
class Arithmetic:
    """How steps are computed."""

    precision: str = "float32"
    """`float32`, `float16` (mixed, with loss scaling) or `bfloat16` (mixed)."""
    xla: bool = False


def losses_of_labels(
    spec: NetworkSpec, _inputs: dict[str, tf.Tensor], label: tf.Tensor, predicted: tf.Tensor
) -> tf.Tensor:
    """What a network is trained on, unless it has a teacher."""
    return example_losses(spec, label, predicted)


class Loop:
    """A network with its optimizer under a strategy; every replica takes part in each step."""

    def __init__(
        self,
        spec: NetworkSpec,
        place: Place,
        seed: int,
        arithmetic: Arithmetic = Arithmetic(),
        build: Build = networks.build,
        losses: Losses = losses_of_labels,
    ) -> None:
        """Builds the network; `restore` gives it its weights.

        Args:
            spec: the network.
            place: of this process.
            seed: of dropout.
            arithmetic: how to compute.
            build: builds the network; it may wrap layers, and have weights already.
            losses: what is made small.
        """
        self.place = place
        self._seed = seed
        self.spec, self._losses = spec, losses
        with place.strategy.scope(), networks.precision(arithmetic.precision):
            self._network = build(spec)
            self._optimizer: Any = tf_keras.optimizers.Adam()
            if arithmetic.precision == "float16":
                self._optimizer = tf_keras.mixed_precision.LossScaleOptimizer(self._optimizer)
            self._optimizer.build(self._network.trainable_variables)
        self._scales_loss = arithmetic.precision == "float16"
        # Not the whole step: a compiled function cannot write the variables of another device.
        self._differentiate = tf.function(self._gradients, jit_compile=True) if arithmetic.xla else self._gradients
        self._steps = tf.function(self._take_steps)

    @property
    def iterations(self) -> int:
        """Steps that the optimizer has taken."""
        return int(self._optimizer.iterations.numpy())

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self._optimizer.learning_rate.numpy())

    def weights(self) -> State:
        """The network's weights."""
        return variables.read(self._network.variables)

    def optimizer(self) -> State:
        """The optimizer's state."""
        return variables.read(self._optimizer_variables())

    def restore(self, weights: State, optimizer: State | None = None) -> None:
        """Gives the network its weights, and the optimizer its state; what the state lacks keeps its value."""
        variables.write(self._network.variables, weights)
        if optimizer is not None:
            own = self._optimizer_variables()
            variables.write([variable for variable in own if variables.name_of(variable) in optimizer], optimizer)

    def _optimizer_variables(self) -> list[tf.Variable]:
        """With the scale of the loss, which the optimizer does not count among its own."""
        own = variables.flat(self._optimizer.variables)
        if not self._scales_loss:
            return own
        scale = self._optimizer._loss_scale  # there is no public name for its variables
        return [*own, scale.current_loss_scale, scale.counter]

    def batches(self, material: Material, position: Position) -> Iterator[Any]:
        """What `take` takes its batches from.

        Args:
            material: what to train on.
            position: where to begin, in steps.
        """
        own = self.place.own_replicas
        sizes = batch_sizes(material.rows, material.steps, self.place.replicas, own)
        begin = Position(position.epoch, position.step * own)
        if self.place.kind == "single":
            return iter(material.feed(WHOLE, sizes, begin))
        distributed = self.place.strategy.distribute_datasets_from_function(
            lambda _context: material.feed(self.place.share, sizes, begin)
        )
        return iter(distributed)

    def take(self, batches: Iterator[Any], steps: int, rate: Rate) -> float:
        """Takes some steps; returns the sum of their mean losses."""
        return float(self._steps(batches, tf.constant(steps), *rate.tensors()))

    def _take_steps(
        self, batches: Iterator[Any], steps: tf.Tensor, start: tf.Tensor, first: tf.Tensor, fall: tf.Tensor
    ) -> tf.Tensor:
        strategy = self.place.strategy
        total = tf.constant(0.0)
        for _ in tf.range(steps):
            self._set_rate(start, first, fall)
            losses = strategy.run(self._step, args=next(batches))
            total += strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
        return total

    def _set_rate(self, start: tf.Tensor, first: tf.Tensor, fall: tf.Tensor) -> None:
        done = tf.cast(self._optimizer.iterations - first, tf.float32) / tf.cast(tf.maximum(fall, 1), tf.float32)
        cosine = (1 + tf.cos(3.14159265358979 * done)) / 2
        self._optimizer.learning_rate.assign(start * tf.where(fall > 0, cosine, 1.0))

    def _step(self, inputs: dict[str, tf.Tensor], label: tf.Tensor) -> tf.Tensor:
        """One step of one replica; its share of the step's mean loss."""
        loss, gradients = self._differentiate(inputs, label, self._mask_seed())
        if self._scales_loss:
            gradients = self._optimizer.get_unscaled_gradients(gradients)
        self._optimizer.apply_gradients(zip(gradients, self._network.trainable_variables))
        return loss

    def _gradients(
        self, inputs: dict[str, tf.Tensor], label: tf.Tensor, mask_seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The replica's share of the mean loss, and its gradients, scaled as the loss is."""
        with tf.GradientTape() as tape, masks_of(mask_seed):
            predicted = self._network(inputs, training=True)
            loss = tf.reduce_mean(self._losses(self.spec, inputs, label, predicted)) / self.place.replicas
            penalised = tf.add_n([loss, *(penalty / self.place.replicas for penalty in self._network.losses)])
            scaled = self._optimizer.get_scaled_loss(penalised) if self._scales_loss else penalised
        return loss, tape.gradient(scaled, self._network.trainable_variables)

    def _mask_seed(self) -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self._optimizer.iterations, tf.int64) * self.place.replicas
        return tf.stack([tf.constant(self._seed, tf.int64), step + tf.cast(replica, tf.int64)])


class CoordinatedLoop(Loop):
    """The same with parameter servers: a coordinator hands steps to workers, which take them without waiting."""

    def __init__(self, spec: NetworkSpec, place: Place, seed: int, arithmetic: Arithmetic = Arithmetic()) -> None:
        """As `Loop`."""
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(place.strategy)
        super().__init__(spec, place, seed, arithmetic)

    def batches(self, material: Material, position: Position) -> Iterator[Any]:
        """As `Loop`; each worker reads all examples in an order of its own, so that none is lost with a worker."""
        strategy = self.place.strategy
        sizes = batch_sizes(material.rows, material.steps)

        def worker() -> tf.data.Dataset:
            return strategy.distribute_datasets_from_function(lambda _context: material.feed(WHOLE, sizes, position))

        return iter(self._coordinator.create_per_worker_dataset(worker))

    def take(self, batches: Iterator[Any], steps: int, rate: Rate) -> float:
        """As `Loop`; returns when all steps are taken."""
        workers = self.place.strategy._extended._num_workers  # there is no public name for it
        pieces = min(steps, workers * CALLS_PER_WORKER)
        sizes = [steps * (piece + 1) // pieces - steps * piece // pieces for piece in range(pieces)]
        taken = [
            self._coordinator.schedule(self._steps, (batches, tf.constant(size), *rate.tensors())) for size in sizes
        ]
        self._coordinator.join()
        return float(sum(result.fetch() for result in taken))


def loop(spec: NetworkSpec, place: Place, seed: int, arithmetic: Arithmetic = Arithmetic()) -> Loop:
    """The loop for a place."""
    kind = CoordinatedLoop if place.kind == "parameter_server" else Loop
    return kind(spec, place, seed, arithmetic)
