"""A small artifact of preprocess with images, beside a number and a word; and a network on it, with random weights."""

from pathlib import Path

import numpy as np

from components import artifacts
from components.features import png
from components.features.category import Category
from components.features.columns import Data, RawBatch
from components.features.declaration import Moments, Vocabulary
from components.features.declaration import Nothing as NothingLearned
from components.features.image import Image
from components.features.numeric import Numeric
from components.features.transform import Transform
from components.learning import networks, weights
from components.learning.config import Convolutional
from components.learning.legacy_keras import tf, tf_keras

SHAPE = (8, 12, 3)
DATA = Data.model_validate_json(
    '{"columns": {"photo": "image", "size": "float", "town": "string", "y": "string"}, "label": "y",'
    ' "task": "multiclass", "classes": ["dark", "dim", "bright"]}'
)
PHOTO = Image(name="photo", column="photo", height=SHAPE[0], width=SHAPE[1], channels=SHAPE[2])
OTHERS = (Numeric(name="size", column="size"), Category(name="town", column="town"))
LEARNED = {"photo": NothingLearned(), "size": Moments(1.0, 2.0, -5.0, 7.0), "town": Vocabulary(("Ulm", "Łódź"), (5, 4))}
NETWORK = Convolutional(filters=(4, 8), hidden=(16,))


def make_transform(alone: bool = False) -> Transform:
    features = (PHOTO,) if alone else (PHOTO, *OTHERS)
    return Transform(DATA, features, {feature.name: LEARNED[feature.name] for feature in features})


def raw_rows(rows: int, seed: int = 0) -> RawBatch:
    """Photos of several sizes and levels of light, every tenth missing."""
    random = np.random.default_rng(seed)
    photos = []
    for row in range(rows):
        size = [SHAPE[:2], (5, 20), (30, 9)][row % 3]
        light = [60, 160, 256][row % 7 % 3]
        photos.append(b"" if row % 10 == 9 else png.encode(random.integers(0, light, (*size, 3), np.uint8)))
    size = random.normal(1, 2, rows).astype(np.float32)
    return {
        "photo": np.array(photos, object),
        "size": size,
        "town": random.choice(["", "Ulm", "Łódź", "Bonn"], rows).astype(object),
    }


def labels(raw: RawBatch) -> np.ndarray:
    """(rows,) float32: how light the photos are."""
    pixels = make_transform(alone=True)(raw)[2]
    return np.digitize(pixels.mean(axis=(1, 2, 3)), [50, 100]).astype(np.float32)


def write_examples(folder: Path, transform: Transform, rows: int = 300) -> artifacts.Examples:
    """Writes the artifact, with the same examples to train on and to validate with."""
    raw = raw_rows(rows)
    packed = dict(zip(("floats", "ids", "images"), transform(raw)), label=labels(raw))
    folder.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "all.tfrecord.gz"), options) as writer:
        for row in range(rows):
            writer.write(_record({name: values[row] for name, values in packed.items()}))
    described = artifacts.Examples(
        float_names=transform.float_names,
        id_names=transform.id_names,
        id_sizes=transform.id_sizes,
        task="multiclass",
        classes=DATA.label_classes,
        label_mean=0.0,
        label_std=1.0,
        rows={"train": rows, "validation": rows, "heldout": 0, "replay": 0},
        shards=dict.fromkeys(("train", "validation"), ("all.tfrecord.gz",)),
        trained_until=None,
        partitions=("one",),
        base_version=None,
        start_reason="there is no model yet",
        image_shape=transform.image_shape,
    )
    transform.write(folder)
    described.write(folder)
    return described


def _record(row: dict[str, np.ndarray]) -> bytes:
    feature = {
        "floats": tf.train.Feature(float_list=tf.train.FloatList(value=row["floats"])),
        "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=row["ids"])),
        "images": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row["images"].tobytes()])),
        "label": tf.train.Feature(float_list=tf.train.FloatList(value=[row["label"]])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write_model(folder: Path, transform: Transform, examples: artifacts.Examples) -> tf_keras.Model:
    """Writes what compress reads of an artifact of train."""
    spec = networks.NetworkSpec.of(NETWORK, examples)
    tf_keras.utils.set_random_seed(0)
    network = networks.build(spec)
    weights.add_optimizer(network)
    folder.mkdir(parents=True)
    weights.save(network, folder)
    spec.write(folder)
    transform.write(folder)
    return network


def predict(network: tf_keras.Model, transform: Transform, raw: RawBatch) -> np.ndarray:
    """What the network itself gives for raw rows."""
    packed = dict(zip(("floats", "ids", "images"), transform(raw)))
    packed["images"] = packed["images"].astype(np.float32) / 255
    return network({name: tf.constant(packed[name]) for name in network.input}).numpy()
