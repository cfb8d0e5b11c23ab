"""Trains the network on the examples, from the base's weights where there is a base that fits."""

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components import artifacts
from components.errors import UserError
from components.features.transform import Transform
from components.learning import fit, input, networks, saved_model, weights
from components.learning.config import Network
from components.learning.legacy_keras import tf_keras
from components.learning.networks import NetworkSpec
from components.train.config import Train, TrainConfig

log = logging.getLogger(__name__)
STEPS_PER_EPOCH = 200
BATCH_SIZES = (16, 1024)


@dataclass(frozen=True)
class Start:
    """What training starts from."""

    spec: NetworkSpec
    base_spec: NetworkSpec | None
    """The network of the base whose weights are taken; None for a cold start."""
    reason: str


def train(examples: Path, base: Path, config: TrainConfig, work: Path, model: Path) -> None:
    """Makes the artifact `model` (artifacts.py).

    Args:
        examples: artifact of preprocess.
        base: the version to start from; an empty folder where there is none.
        config: the network and how it is fitted.
        work: the work directory.
        model: folder to write.

    Raises:
        UserError: there are no examples to train on or to validate with.
    """
    with artifacts.recorded("train", work, [examples], model) as details, artifacts.atomic_folder(model) as folder:
        described = artifacts.Examples.read(examples)
        _check(described)
        transform = Transform.read(examples)
        start = choose_start(config.network, described, base)
        log.info("%s start: %s", "cold" if start.base_spec is None else "warm", start.reason)
        tf_keras.utils.set_random_seed(config.train.seed)
        network, layers = _network(start, transform, base, _learning_rate(config.train, start))
        fitted, refitted = _fit(network, examples, described, start, config.train)
        _write(folder, network, start.spec, transform)
        shutil.copy2(examples / artifacts.EXAMPLES, folder / artifacts.EXAMPLES)
        details.update(_details(start, network, layers, fitted, described), refit=refitted and asdict(refitted))
        artifacts.write_json(folder / artifacts.TRAINING, details)


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


def _check(examples: artifacts.Examples) -> None:
    for part in ("train", "validation"):
        if not examples.rows[part]:
            raise UserError(f"there are no {part} examples; bring more data or change preprocess.{part}_days or _share")


def _learning_rate(train: Train, start: Start) -> float:
    return train.learning_rate if start.base_spec is None else train.warm_learning_rate


def _network(
    start: Start, transform: Transform, base: Path, learning_rate: float
) -> tuple[tf_keras.Model, weights.Layers]:
    network = networks.build(start.spec)
    fit.compile_model(network, start.spec, learning_rate)
    if start.base_spec is None:
        return network, weights.Layers(new=[layer.name for layer in network.layers if layer.weights])
    maps = weights.row_maps(start.spec, transform, start.base_spec, Transform.read(base))
    return network, weights.warm_start(network, base, maps)


def _fit(
    network: tf_keras.Model, folder: Path, examples: artifacts.Examples, start: Start, train: Train
) -> tuple[fit.Fitted, fit.Refitted | None]:
    size = batch_size(train, examples.rows["train"])
    training = input.dataset(folder, examples, ("train",), size, train.seed, train.cache_bytes)
    validation = input.dataset(folder, examples, ("validation",), input.READ_ROWS, None, train.cache_bytes)
    rate = _learning_rate(train, start)
    beginning = fit.Beginning(network)
    fitted = fit.fit(network, training, validation, start.spec, fit.Schedule(train.epochs, rate, train.patience))
    if not train.refit:
        return fitted, None
    everything = input.dataset(folder, examples, ("train", "validation"), size, train.seed, train.cache_bytes)
    return fitted, fit.refit(network, beginning, everything, fitted.best_epoch, rate)


def _write(folder: Path, network: tf_keras.Model, spec: NetworkSpec, transform: Transform) -> None:
    weights.save(network, folder)
    spec.write(folder)
    transform.write(folder)
    saved_model.export(network, transform, folder)


def _details(
    start: Start, network: tf_keras.Model, layers: weights.Layers, fitted: fit.Fitted, examples: artifacts.Examples
) -> dict[str, Any]:
    rows = examples.rows["train"]
    seconds = sum(epoch.seconds for epoch in fitted.history)
    return {
        "start": "cold" if start.base_spec is None else "warm",
        "start_reason": start.reason,
        "network": start.spec.network.model_dump(mode="json"),
        "parameters": network.count_params(),
        "layers": asdict(layers),
        "history": [{**asdict(epoch), "examples": rows} for epoch in fitted.history],
        "metric": fitted.metric,
        "best_epoch": fitted.best_epoch,
        "stopped": fitted.stopped,
        "examples": rows,
        "examples_per_s": round(rows * len(fitted.history) / seconds),
    }
