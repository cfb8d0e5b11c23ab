"""Saves and loads weights and optimizer state, and starts a network from those of a base."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from components import artifacts
from components.features.declaration import Vocabulary
from components.features.transform import Transform
from components.learning.legacy_keras import tf_keras
from components.learning.networks import NetworkSpec

State = dict[str, np.ndarray]
"""Variable name → value."""


@dataclass(frozen=True)
class RowMap:
    """Where the rows of an id's weights come from: ids may be appended, and then the tables grow."""

    sources: np.ndarray
    """(new size,) int64: the base's row for each row; -1 where the base has none."""
    unknown: np.ndarray
    """The base's rows for tokens outside its vocabulary; their mean starts the new rows."""

    def rows(self, base: np.ndarray) -> np.ndarray:
        """Weights (base size, width) float32 → (new size, width) float32."""
        return self._mapped(base, base[self.unknown].mean(axis=0))

    def slots(self, base: np.ndarray) -> np.ndarray:
        """The same for an optimizer's slot variable, which starts at zero in new rows."""
        return self._mapped(base, np.zeros(base.shape[1:], base.dtype))

    def _mapped(self, base: np.ndarray, fresh: np.ndarray) -> np.ndarray:
        known = (self.sources >= 0)[:, None]
        return np.where(known, base[np.maximum(self.sources, 0)], fresh)


@dataclass
class Layers:
    """What a warm start did with each layer that has weights, by name."""

    reused: list[str] = field(default_factory=list)
    """Took the base's weights as they are."""
    remapped: list[str] = field(default_factory=list)
    """Took the base's rows by token, and has new rows."""
    new: list[str] = field(default_factory=list)
    """Kept fresh weights."""


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
            maps[key] = _row_map(learned.tokens, size, known.tokens, base_size)
    return maps


def _row_map(tokens: tuple[str, ...], size: int, base_tokens: tuple[str, ...], base_size: int) -> RowMap:
    """Rows are: missing, the buckets of unknown tokens, then the vocabulary (declaration.py)."""
    first = base_size - len(base_tokens)
    base_rows = {token: first + index for index, token in enumerate(base_tokens)}
    fixed = [row if row < first else -1 for row in range(size - len(tokens))]
    known = [base_rows.get(token, -1) for token in tokens]
    return RowMap(np.array(fixed + known), np.arange(1, first))


def warm_start(model: tf_keras.Model, base: Path, maps: Mapping[str, RowMap]) -> Layers:
    """Copies the base's weights, and its optimizer's state, into a compiled network layer by layer.

    Args:
        model: with fresh weights and a built optimizer.
        base: folder with `weights.h5` and `optimizer.npz`.
        maps: where the rows of embeddings come from, by id key.
    """
    weights = _read_weights(base / artifacts.WEIGHTS)
    layers = Layers()
    for layer in model.layers:
        if layer.weights:
            _start_layer(layer, weights.get(layer.name, []), maps.get(_id_key(layer.name)), layers)
    _start_optimizer(model, base / artifacts.OPTIMIZER, maps, set(layers.new))
    return layers


def _start_layer(layer: tf_keras.layers.Layer, base: list[np.ndarray], rows: RowMap | None, layers: Layers) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    values = base if rows is None else [rows.rows(table) for table in base]
    if [value.shape for value in values] != shapes:
        layers.new.append(layer.name)
        return
    layer.set_weights(values)
    (layers.reused if rows is None else layers.remapped).append(layer.name)


def _start_optimizer(model: tf_keras.Model, path: Path, maps: Mapping[str, RowMap], new: set[str]) -> None:
    with np.load(path, allow_pickle=False) as file:
        state = dict(file)
    for variable in model.optimizer.variables:
        value, layer = state.get(variable.name), _layer_of(variable.name)
        if value is None or layer in new:
            continue
        rows = maps.get(_id_key(layer))
        value = value if rows is None else rows.slots(value)
        if value.shape == tuple(variable.shape):
            variable.assign(value)


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
