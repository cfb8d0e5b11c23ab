"""Saves and loads weights and optimizer state, and starts a network from those of a base."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from components import artifacts
from components.features.declaration import Vocabulary
from components.features.transform import Transform
from components.learning import variables
from components.learning.legacy_keras import tf_keras
from components.learning.networks import NetworkSpec
from components.learning.rows import RowMap, row_map
from components.learning.variables import State


@dataclass
class Layers:
    """What a start did with each layer that has weights, by name, and with the optimizer."""

    reused: list[str] = field(default_factory=list)
    """Took the base's weights as they are, or shrunk and perturbed."""
    remapped: list[str] = field(default_factory=list)
    """Took the base's rows by token, and has new rows."""
    new: list[str] = field(default_factory=list)
    """Kept fresh weights."""
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    """Feature whose tables are remapped → `kept` and `new` rows."""
    optimizer: str = "fresh"
    """Whether its state is that of the base: `restored`, `partly` (and for which layers not) or `fresh` (and why)."""


@dataclass(frozen=True)
class Mix:
    """Shrink and perturb (Ash & Adams 2020, arXiv:1910.08475): `shrink` * base + `perturb` * fresh weights.

    As in the paper the noise is the weights of a network that was just initialized. Tables by id are left as they are:
    the paper shrinks weights that each example trains again, but a row is trained only by the examples that have its
    token, and those of rare tokens would fade from start to start.
    """

    shrink: float = 1.0
    perturb: float = 0.0

    @property
    def changes_weights(self) -> bool:
        """Whether the mix is anything else but the base's weights."""
        return (self.shrink, self.perturb) != (1.0, 0.0)

    def __call__(self, base: np.ndarray, fresh: np.ndarray) -> np.ndarray:
        """The weights to start with."""
        return self.shrink * base + self.perturb * fresh


BASE_ONLY = Mix()


def add_optimizer(network: tf_keras.Model) -> None:
    """Gives a network `network.optimizer`, a fresh Adam with all its variables."""
    optimizer = tf_keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    network.compile(optimizer)


def state(network: tf_keras.Model) -> tuple[State, State]:
    """The weights, and the optimizer's state."""
    return variables.read(network.variables), variables.read(network.optimizer.variables)


def restore(network: tf_keras.Model, weights: State, optimizer: State) -> None:
    """Gives a network its weights, and its optimizer its state, which may hold more than this optimizer has."""
    variables.write(network.variables, weights)
    variables.write(network.optimizer.variables, optimizer)


def save(model: tf_keras.Model, folder: Path) -> None:
    """Writes `weights.h5` and `optimizer.npz` (plain arrays by variable name, without pickle)."""
    model.save_weights(folder / artifacts.WEIGHTS, save_format="h5")
    np.savez(
        folder / artifacts.OPTIMIZER, **{variable.name: variable.numpy() for variable in model.optimizer.variables}
    )


def load(model: tf_keras.Model, folder: Path) -> None:
    """Reads `weights.h5` into a network built from the same specification."""
    model.load_weights(folder / artifacts.WEIGHTS)


def row_maps(spec: NetworkSpec, transform: Transform, base_spec: NetworkSpec, base: Transform) -> dict[str, RowMap]:
    """For each id whose vocabulary is not the base's, by its key in the network, where its rows come from.

    Args:
        spec: the network to start.
        transform: its transform.
        base_spec: the base's network, on the same features.
        base: the base's transform.
    """
    maps = {}
    for key, name, size, base_size in zip(spec.id_keys, spec.id_names, spec.id_sizes, base_spec.id_sizes):
        learned, known = transform.constants[name], base.constants[name]
        if isinstance(learned, Vocabulary) and isinstance(known, Vocabulary) and learned.tokens != known.tokens:
            maps[key] = row_map(name, learned, size, known, base_size)
    return maps


def warm_start(model: tf_keras.Model, base: Path, maps: Mapping[str, RowMap], mix: Mix = BASE_ONLY) -> Layers:
    """Copies the base's weights, and its optimizer's state, into a compiled network layer by layer.

    Args:
        model: with fresh weights and a built optimizer.
        base: folder with `weights.h5` and `optimizer.npz`.
        maps: where the rows of embeddings come from, by id key.
        mix: of trained with fresh weights; where it changes them, the optimizer starts fresh, because its moments are
            those of gradients at other weights.
    """
    weights = _read_weights(base / artifacts.WEIGHTS)
    layers = Layers()
    for layer in model.layers:
        if layer.weights:
            _start_layer(layer, weights.get(layer.name, []), maps.get(_id_key(layer.name)), mix, layers)
    for rows in maps.values():
        new = int(rows.is_new.sum())
        layers.rows[rows.feature] = {"kept": len(rows.sources) - new, "new": new}
    if mix.changes_weights:
        layers.optimizer = f"fresh, because the weights are shrunk by {mix.shrink:g} and perturbed by {mix.perturb:g}"
    else:
        layers.optimizer = _start_optimizer(model, base / artifacts.OPTIMIZER, maps, set(layers.new))
    return layers


def _start_layer(
    layer: tf_keras.layers.Layer, base: list[np.ndarray], rows: RowMap | None, mix: Mix, layers: Layers
) -> None:
    fresh = layer.get_weights()
    values = base if rows is None else [rows.rows(table) for table in base]
    if [value.shape for value in values] != [weight.shape for weight in fresh]:
        layers.new.append(layer.name)
        return
    if mix.changes_weights and not _id_key(layer.name):
        values = [mix(value, weight) for value, weight in zip(values, fresh)]
    layer.set_weights(values)
    (layers.reused if rows is None else layers.remapped).append(layer.name)


def _start_optimizer(model: tf_keras.Model, path: Path, maps: Mapping[str, RowMap], new: set[str]) -> str:
    """Restores what fits; tells how much that was, as `Layers.optimizer` does."""
    with np.load(path, allow_pickle=False) as file:
        state = dict(file)
    fresh = set()
    for variable in model.optimizer.variables:
        value, layer = state.get(variable.name), _layer_of(variable.name)
        rows = maps.get(_id_key(layer))
        if value is not None and rows is not None:
            value = rows.slots(value)
        if value is None or layer in new or value.shape != tuple(variable.shape):
            fresh.add(layer or variable.name)
        else:
            variable.assign(value)
    return f"partly, fresh for {', '.join(sorted(fresh))}" if fresh else "restored"


def _id_key(layer: str) -> str:
    """`embedding_<key>` and `wide_<key>` are the layers with rows by id (networks.py)."""
    prefix, _, key = layer.partition("_")
    return key if prefix in ("embedding", "wide") else ""


def _layer_of(variable: str) -> str:
    """`m/<layer>/<weight>:0` → layer; "" for what belongs to none."""
    parts = variable.split("/")
    return parts[-2] if len(parts) > 2 else ""


def _read_weights(path: Path) -> dict[str, list[np.ndarray]]:
    """Layer name → its weights in order, from the file that Keras writes."""
    with h5py.File(path, "r") as file:
        return {
            _text(name): [np.asarray(file[name][weight]) for weight in file[name].attrs["weight_names"]]
            for name in file.attrs["layer_names"]
        }


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
