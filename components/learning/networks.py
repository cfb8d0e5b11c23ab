"""Builds the networks: packed floats and ids in, predictions out.

Layers are named after what they belong to (`embedding_<feature>`, `wide_<feature>`, `hidden_0`, …), so that a later
training finds the weights again (see weights.py).
"""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from components import artifacts
from components.learning import convolutional
from components.learning.config import Convolutional, Dcn, Linear, Mlp, Network, WideDeep
from components.learning.dropout import Dropout
from components.learning.factored import dense
from components.learning.legacy_keras import tf, tf_keras
from components.learning.lookups import Lookups

layers = tf_keras.layers
FLOATS = "floats"
IDS = "ids"
IMAGES = "images"
OUTPUT = "output"


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that a network is built from (`network.json`)."""

    network: Network
    floats: int
    """Width of the packed floats."""
    id_names: tuple[str, ...]
    """The feature that each packed id comes from."""
    id_sizes: tuple[int, ...]
    embedding_widths: tuple[int, ...]
    """Width of each id's embedding; empty for networks without."""
    task: str
    classes: tuple[Any, ...]
    label_mean: float
    label_std: float
    """What a regression network's output is scaled by; 0 and 1 otherwise."""
    ranks: dict[str, int] = field(default_factory=dict)
    """Layer → rank, of the layers that are factored (see factored.py)."""
    image_shape: tuple[int, ...] = ()
    """Height, width and channels of the images; empty without."""

    @classmethod
    def of(cls, network: Network, examples: artifacts.Examples) -> "NetworkSpec":
        """The specification of a fresh network for a set of examples."""
        widths = () if isinstance(network, Linear) else tuple(network.embedding_width(n) for n in examples.id_sizes)
        return cls(
            network=network,
            floats=len(examples.float_names),
            id_names=examples.id_names,
            id_sizes=examples.id_sizes,
            embedding_widths=widths,
            task=examples.task,
            classes=examples.classes,
            label_mean=examples.label_mean,
            label_std=examples.label_std or 1.0,
            image_shape=examples.image_shape,
        )

    def write(self, folder: Path) -> None:
        """Writes `network.json`."""
        raw = {**dataclasses.asdict(self), "network": self.network.model_dump(mode="json")}
        artifacts.write_json(folder / artifacts.NETWORK, raw)

    @classmethod
    def read(cls, folder: Path) -> "NetworkSpec":
        """Reads `network.json`."""
        raw = artifacts.read_json(folder / artifacts.NETWORK)
        network = TypeAdapter(Network).validate_python(raw.pop("network"), strict=False)
        lists = {name: tuple(value) for name, value in raw.items() if isinstance(value, list)}
        return cls(network=network, **{**raw, **lists})

    @property
    def outputs(self) -> int:
        """Width of the network's output: the number of classes, or 1."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def id_keys(self) -> tuple[str, ...]:
        """A unique name for each packed id: the feature's, with a number where a feature gives several."""
        seen: Counter[str] = Counter()
        keys = []
        for name in self.id_names:
            keys.append(f"{name}.{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return tuple(keys)


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """While the block runs, networks are built to compute in `float32`, `float16` or `bfloat16`, of float32 weights."""
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(name if name == "float32" else f"mixed_{name}")
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def build(spec: NetworkSpec, joined: bool = False) -> tf_keras.Model:
    """A network with fresh weights; with `joined` it keeps those of several ids in one (see lookups.py).

    Inputs: `floats` (batch, spec.floats) float32 and `ids` (batch, len(spec.id_sizes)) int32, one of width 0 is left
    out; with images also `images` (batch, *spec.image_shape) float32 in [0, 1]. Output (batch, spec.outputs) float32:
    the positive class's probability, the classes' probabilities, or the number predicted.
    """
    inputs = _inputs(spec)
    lookups = Lookups(spec, inputs[IDS], joined) if IDS in inputs else None
    network = spec.network
    if isinstance(network, Linear):
        logits = _linear(spec, network, inputs.get(FLOATS), lookups)
    elif isinstance(network, Dcn):
        logits = _dcn(spec, network, inputs.get(FLOATS), lookups)
    elif isinstance(network, Convolutional):
        logits = _convolutional(spec, network, inputs, lookups)
    else:
        logits = _deep(spec, network, inputs.get(FLOATS), lookups)
    return tf_keras.Model(inputs, _prediction(spec, logits), name=network.kind)


def input_signature(spec: NetworkSpec) -> dict[str, tf.TensorSpec]:
    """The network's inputs by name, with a free batch dimension."""
    widths = {FLOATS: (spec.floats, tf.float32), IDS: (len(spec.id_sizes), tf.int32)}
    flat = {name: tf.TensorSpec([None, width], dtype, name=name) for name, (width, dtype) in widths.items() if width}
    return flat | ({IMAGES: tf.TensorSpec([None, *spec.image_shape], tf.float32, IMAGES)} if spec.image_shape else {})


def _inputs(spec: NetworkSpec) -> dict[str, tf.Tensor]:
    return {
        name: tf_keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in input_signature(spec).items()
    }


def _linear(spec: NetworkSpec, network: Linear, floats: tf.Tensor | None, lookups: Lookups | None) -> tf.Tensor:
    penalty = tf_keras.regularizers.L2(network.l2) if network.l2 else None
    parts = lookups.wide(penalty) if lookups else []
    if floats is not None:
        parts.append(dense(spec.ranks, "linear", spec.outputs, penalty=penalty)(floats))
    return _sum(parts)


def _deep(spec: NetworkSpec, network: Mlp | WideDeep, floats: tf.Tensor | None, lookups: Lookups | None) -> tf.Tensor:
    hidden = _hidden(spec, network, _embedded(network, floats, lookups))
    parts = [dense(spec.ranks, "logits", spec.outputs)(hidden)]
    if isinstance(network, WideDeep) and lookups:
        parts += lookups.wide(None)
    return _sum(parts)


def _dcn(spec: NetworkSpec, network: Dcn, floats: tf.Tensor | None, lookups: Lookups | None) -> tf.Tensor:
    first = _embedded(network, floats, lookups)
    crossed = first
    for index in range(network.cross_layers):
        # x_{l+1} = x_0 * (W x_l + b) + x_l, equation 1 of arXiv:2008.13535.
        mixed = dense(spec.ranks, f"cross_{index}", first.shape[1])(crossed)
        crossed = layers.Add()([layers.Multiply()([first, mixed]), crossed])
    both = layers.Concatenate()([crossed, _hidden(spec, network, first)])
    return dense(spec.ranks, "logits", spec.outputs)(both)


def _convolutional(
    spec: NetworkSpec, network: Convolutional, inputs: dict[str, tf.Tensor], lookups: Lookups | None
) -> tf.Tensor:
    first = convolutional.seen(network, inputs[IMAGES])
    if len(inputs) > 1:
        first = layers.Concatenate()([first, _embedded(network, inputs.get(FLOATS), lookups)])
    return dense(spec.ranks, "logits", spec.outputs)(_hidden(spec, network, first))


def _embedded(
    network: Mlp | WideDeep | Dcn | Convolutional, floats: tf.Tensor | None, lookups: Lookups | None
) -> tf.Tensor:
    """Floats and embeddings side by side."""
    parts = [] if floats is None else [floats]
    if lookups:
        parts += lookups.embedded(network.embedding_dropout)
    return parts[0] if len(parts) == 1 else layers.Concatenate()(parts)


def _hidden(spec: NetworkSpec, network: Mlp | WideDeep | Dcn | Convolutional, hidden: tf.Tensor) -> tf.Tensor:
    penalty = tf_keras.regularizers.L2(network.l2) if network.l2 else None
    for index, units in enumerate(network.hidden):
        hidden = dense(spec.ranks, f"hidden_{index}", units, "relu", penalty)(hidden)
        if network.dropout:
            hidden = Dropout(network.dropout, name=f"dropout_{index}")(hidden)
    return hidden


def _sum(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else layers.Add()(parts)


def _prediction(spec: NetworkSpec, logits: tf.Tensor) -> tf.Tensor:
    # In float32 even where the rest is computed with fewer bits: a probability needs them.
    if spec.task == "regression":
        return layers.Rescaling(spec.label_std, spec.label_mean, dtype="float32", name=OUTPUT)(logits)
    activation = "softmax" if spec.task == "multiclass" else "sigmoid"
    return layers.Activation(activation, dtype="float32", name=OUTPUT)(logits)
