"""A small artifact of preprocess, written directly: raw rows, a transform, TFRecords."""

import json
from pathlib import Path

import numpy as np

from components import artifacts
from components.features.category import Category
from components.features.columns import Data, RawBatch
from components.features.datetime import Datetime
from components.features.declaration import Moments, Nothing, Vocabulary
from components.features.numeric import Numeric
from components.features.transform import Transform
from components.learning.legacy_keras import tf

CITIES = ("Oslo", "Ulm", "Łódź", "Lima")
EFFECT = {"Oslo": 2.0, "Ulm": -2.0, "Łódź": 1.0, "Lima": -1.0, "Bonn": 0.0, "Rome": 3.0, "": 0.0}
CLASSES = {"binary": (0, 1), "multiclass": ("low", "middle", "high"), "regression": ()}
MEAN, STD = 100.0, 30.0
FLOAT_FEATURES = (Numeric(name="a", column="a"), Numeric(name="b", column="b", indicator=True))
ID_FEATURES = (
    Category(name="city", column="city"),
    Datetime(name="day", column="time", parts=("weekday", "hour"), encode="category"),
)


def declared(task: str) -> Data:
    classes = json.dumps(CLASSES["multiclass"]) if task == "multiclass" else "null"
    label = {"binary": "integer", "multiclass": "string", "regression": "float"}[task]
    return Data.model_validate_json(
        f'{{"columns": {{"a": "float", "b": "integer", "city": "string", "time": "timestamp", "y": "{label}"}},'
        f' "label": "y", "task": "{task}", "classes": {classes}}}'
    )


def make_transform(task: str = "binary", use: str = "both", cities: tuple[str, ...] = CITIES) -> Transform:
    features = (FLOAT_FEATURES if use != "ids" else ()) + (ID_FEATURES if use != "floats" else ())
    learned = {
        "a": Moments(0.0, 1.0, -4.0, 4.0),
        "b": Moments(5.0, 3.0, 0.0, 10.0),
        "city": Vocabulary(cities, tuple(range(len(cities), 0, -1))),
        "day": Nothing(),
    }
    return Transform(declared(task), features, {feature.name: learned[feature.name] for feature in features})


def raw_rows(rows: int, seed: int = 0, cities: tuple[str, ...] = (*CITIES, "Bonn", "")) -> RawBatch:
    random = np.random.default_rng(seed)
    a = random.normal(size=rows).astype(np.float32)
    a[random.random(rows) < 0.05] = np.nan
    return {
        "a": a,
        "b": random.integers(0, 11, rows),
        "city": random.choice(cities, rows).astype(object),
        "time": random.integers(0, 10**9, rows),
    }


def labels(raw: RawBatch, task: str, seed: int = 0) -> np.ndarray:
    """(rows,) float32: what a small network can learn from the rows, and noise."""
    effect = np.array([EFFECT[city] for city in raw["city"]])
    noise = np.random.default_rng(seed + 1).normal(size=len(effect))
    score = np.nan_to_num(raw["a"]) + (raw["b"] - 5) / 3 + effect + 0.3 * noise
    if task == "regression":
        return (MEAN + STD * score / 2).astype(np.float32)
    return (np.digitize(score, [-1, 1]) if task == "multiclass" else score > 0).astype(np.float32)


def write_examples(
    folder: Path,
    transform: Transform,
    rows: tuple[int, int] = (900, 300),
    shards: int = 3,
    base_version: int | None = None,
    cities: tuple[str, ...] = (*CITIES, "Bonn", ""),
    seed: int = 0,
) -> artifacts.Examples:
    """Writes the artifact: train and validation shards of unequal sizes."""
    task = transform.data.task
    names = {}
    for part, count, part_seed in zip(("train", "validation"), rows, (seed, seed + 100)):
        raw = raw_rows(count, part_seed, cities)
        names[part] = _write_shards(folder, part, transform(raw), labels(raw, task, part_seed), shards)
    described = artifacts.Examples(
        float_names=transform.float_names,
        id_names=transform.id_names,
        id_sizes=transform.id_sizes,
        task=task,
        classes=CLASSES[task],
        label_mean=MEAN if task == "regression" else 0.0,
        label_std=STD if task == "regression" else 1.0,
        rows={"train": rows[0], "validation": rows[1], "heldout": 0, "replay": 0},
        shards=names,
        trained_until=None,
        partitions=("one",),
        base_version=base_version,
        start_reason="there is no model yet" if base_version is None else "version 1 has the same features",
    )
    transform.write(folder)
    described.write(folder)
    return described


def _write_shards(folder: Path, part: str, packed: tuple, label: np.ndarray, shards: int) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(f"{part}-{index}.tfrecord.gz" for index in range(shards))
    bounds = [0, *(len(label) * (index + 1) ** 2 // shards**2 for index in range(shards))]
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    for name, start, end in zip(names, bounds, bounds[1:]):
        with tf.io.TFRecordWriter(str(folder / name), options) as writer:
            for floats, ids, value in zip(packed[0][start:end], packed[1][start:end], label[start:end]):
                writer.write(_record(floats, ids, value))
    return names


def _record(floats: np.ndarray, ids: np.ndarray, label: float) -> bytes:
    feature = {
        "floats": tf.train.Feature(float_list=tf.train.FloatList(value=floats)),
        "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=ids)),
        "label": tf.train.Feature(float_list=tf.train.FloatList(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
