"""A model of the real flights, made in seconds: constants straight from the rows, a short training, no pipeline."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components import artifacts
from components.compress.compress import compress
from components.compress.config import Recipe
from components.config import load
from components.features.arrow import dense
from components.features.columns import Data, RawBatch
from components.features.columns_tf import TENSOR_TYPES
from components.features.declaration import Bounds, Learned, Moments, Nothing, Vocabulary
from components.features.declared import AnyFeature
from components.features.prepare_tf import prepare
from components.features.transform import Transform
from components.features.transform_tf import TransformGraph, input_names
from components.learning import networks, saved_model, weights
from components.learning.legacy_keras import tf
from components.learning.networks import NetworkSpec

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "flights"


def flights(feed: Path, most: int | None = None) -> pa.Table:
    """The flights, laid out in `feed`; `most` of them, spread over the year, or all."""
    subprocess.run([sys.executable, str(MODEL / "data.py"), str(feed)], check=True)
    table = pa.concat_tables([pq.read_table(path) for path in sorted(feed.glob("*.parquet"))])
    if most is None:
        return table
    return table.take(np.linspace(0, table.num_rows - 1, most).astype(int))


@dataclass(frozen=True)
class FlightsModel:
    """The exported SavedModel and the serving artifact made of one network."""

    saved_model: Path
    serving: Path
    transform: Transform

    @cached_property
    def signatures(self) -> Any:
        """The SavedModel's."""
        return self._loaded.signatures

    @cached_property
    def _loaded(self) -> Any:
        return tf.saved_model.load(str(self.saved_model))

    @cached_property
    def graph(self) -> TransformGraph:
        """The transform alone, in TensorFlow."""
        return TransformGraph(self.transform)

    def tensors(self, raw: RawBatch) -> dict[str, tf.Tensor]:
        """Dense columns as tensors."""
        return tensors(raw, self.transform.data, self.transform.source_columns)

    def expected(self, raw: RawBatch) -> np.ndarray:
        """What the SavedModel's signature answers, (batch,)."""
        given, names = self.tensors(raw), input_names(self.transform.source_columns)
        return self.signatures["serving_default"](**{names[name]: given[name] for name in given})["output"].numpy()[
            :, 0
        ]


def tensors(raw: RawBatch, data: Data, names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    types = {name: TENSOR_TYPES[data.columns[name].type] for name in names}
    return {
        name: tf.constant(raw[name].tolist() if types[name] == tf.string else raw[name], types[name]) for name in names
    }


def make(folder: Path, table: pa.Table) -> FlightsModel:
    """Trains for a moment on a table of flights, and exports."""
    config = load(MODEL)
    data = config.data
    labelled = table.filter(pa.compute.is_valid(table[data.label]))
    raw = dense(labelled, data, tuple(data.columns))
    given = tensors(raw, data, tuple(name for name in data.columns if name != data.label))
    constants = {feature.name: learn(feature, given, data) for feature in config.features}
    transform = Transform(data, config.features, constants)
    spec = _spec(transform, config.network)
    network = networks.build(spec)
    floats, ids = transform(raw)
    network.compile("adam", "binary_crossentropy")
    network.fit({"floats": floats, "ids": ids}, np.asarray(labelled[data.label]), 256, 2, verbose=0)
    weights.save(network, folder)
    spec.write(folder)
    transform.write(folder)
    saved_model.export(network, transform, folder)
    compress(folder, folder, Recipe(names=("float32",)), folder / "work", folder / "variant")
    return FlightsModel(folder / artifacts.SAVED_MODEL, folder / "variant" / artifacts.SERVING, transform)


def learn(feature: AnyFeature, given: dict[str, tf.Tensor], data: Data) -> Learned:
    """What the pipeline's analyzers would learn, roughly: this is not what is tested."""
    if feature.learns == "nothing":
        return Nothing()
    values = prepare(feature, given, data).numpy()
    if feature.learns == "vocabulary":
        tokens, counts = np.unique(values[values != b""].astype(bytes), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return Vocabulary(tuple(tokens[i].decode() for i in order), tuple(counts[order].tolist()))
    known = values[~np.isnan(values)]
    if feature.learns == "bounds":
        return Bounds(tuple(np.unique(np.quantile(known, np.linspace(0, 1, 12)[1:-1])).tolist()))
    return Moments(*(float(figure) for figure in (known.mean(), known.std(), known.min(), known.max())))


def _spec(transform: Transform, network: Any) -> NetworkSpec:
    return NetworkSpec(
        network=network,
        floats=len(transform.float_names),
        id_names=transform.id_names,
        id_sizes=transform.id_sizes,
        embedding_widths=tuple(network.embedding_width(size) for size in transform.id_sizes),
        task=transform.data.task,
        classes=transform.data.label_classes,
        label_mean=0.0,
        label_std=1.0,
    )
