"""The transform: raw columns in, packed floats and ids out, given what was learned. Without TensorFlow."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.features import declaration
from components.features.columns import Data, RawBatch
from components.features.declaration import LEARNED, Bounds, Constants, Learned, PlainForm, Vocabulary, no_ids
from components.features.declared import AnyFeature, Features
from components.features.image import Image
from components.features.packing import FloatPacking
from components.features.pixels import Pixels
from components.schema import Section, canonical_json, parse

Packed = tuple[np.ndarray, ...]
"""Floats (batch, F) float32 and ids (batch, I) int32; and, where a feature is an image, its pixels as uint8 of shape
(batch, height, width, channels)."""


class _Declaration(Section):
    data: Data
    features: Features


@dataclass(frozen=True)
class Transform:
    """The declared features with their learned constants.

    Raises:
        ValueError: a feature has no constants, or not the ones that its kind learns.
    """

    data: Data
    features: Features
    constants: Constants

    def __post_init__(self) -> None:
        for feature in self.features:
            learned = self.constants.get(feature.name)
            if not isinstance(learned, LEARNED[feature.learns]):
                raise ValueError(f"feature {feature.name} needs learned {feature.learns}, not {learned!r}")

    @classmethod
    def read(cls, folder: Path) -> "Transform":
        """Reads `features.json`, `constants.json` and `vocabulary/`, as `write` leaves them.

        Raises:
            FileNotFoundError: the folder holds no transform, or not all of it.
        """
        declared = parse(_Declaration, (folder / artifacts.FEATURES).read_text(encoding="utf-8"))
        constants = artifacts.read_json(folder / artifacts.CONSTANTS)
        learned = {name: _read_learned(folder, name, dict(values)) for name, values in constants.items()}
        return cls(declared.data, declared.features, learned)

    def write(self, folder: Path) -> None:
        """Writes `features.json`, `constants.json` and a file in `vocabulary/` for each feature that has one.

        `vocabulary/` is there, empty, for features without one too.
        """
        (folder / artifacts.VOCABULARY).mkdir(parents=True, exist_ok=True)
        declared = _Declaration(data=self.data, features=self.features)
        artifacts.write_json(folder / artifacts.FEATURES, declared.model_dump(mode="json"))
        constants = {feature.name: _write_learned(folder, feature, self.constants) for feature in self.features}
        artifacts.write_json(folder / artifacts.CONSTANTS, constants)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The raw columns that the features read, each once, in the order of the declaration."""
        return source_columns(self.features)

    @property
    def float_names(self) -> tuple[str, ...]:
        """The feature that each column of the packed floats comes from."""
        return declaration.float_names(self.features)

    @property
    def id_names(self) -> tuple[str, ...]:
        """The feature that each column of the packed ids comes from."""
        return declaration.id_names(self.features, self.constants)

    @property
    def id_sizes(self) -> tuple[int, ...]:
        """The number of different ids in each column of the packed ids."""
        return declaration.id_sizes(self.features, self.constants)

    @property
    def image_name(self) -> str:
        """The feature that is an image; empty without."""
        return next((feature.name for feature in self.features if isinstance(feature, Image)), "")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the image; empty without."""
        return self.pixels.shape if self.pixels else ()

    def features_digest(self) -> str:
        """The digest of what is declared, whatever was learned."""
        return features_digest(self.features, self.data)

    def __call__(self, raw: RawBatch) -> Packed:
        """Computes all features.

        Args:
            raw: dense columns of shape (batch,), at least `source_columns`.

        Raises:
            ImageError: an image cannot be read.
        """
        seconds = [raw[feature.column] for feature in self.packing.cyclic]
        parts = [feature.dense_part_ids(values) for feature, values in zip(self.packing.cyclic, seconds)]
        rows = len(raw[self.source_columns[0]])
        part_ids = np.concatenate(parts) if parts else np.empty((0, rows), np.int32)
        floats = self.packing(self.packing.numbers.dense(raw, rows), part_ids)
        ids = np.concatenate([no_ids(rows), *(form(raw)[1] for form in self._id_forms)], axis=1)
        return (floats, ids, self.pixels(raw[self.pixels.column])) if self.pixels else (floats, ids)

    @cached_property
    def pixels(self) -> Pixels | None:
        """How the image is read; None without."""
        return next((Pixels(feature) for feature in self.features if isinstance(feature, Image)), None)

    @cached_property
    def packing(self) -> FloatPacking:
        """How the floats are computed."""
        return FloatPacking(self.features, self.constants, self.data)

    @cached_property
    def _id_forms(self) -> list[PlainForm]:
        learned = ((feature, self.constants[feature.name]) for feature in self.features)
        return [feature.plain(known) for feature, known in learned if feature.id_sizes(known)]


def source_columns(features: Sequence[AnyFeature]) -> tuple[str, ...]:
    """The raw columns that features read, each once, in the order of the declaration."""
    return tuple(dict.fromkeys(column for feature in features for column in feature.source_columns))


def features_digest(features: Sequence[AnyFeature], data: Data) -> str:
    """The SHA-256 digest of declared features and of the types of the columns that they read."""
    types = {name: data.columns[name].type for name in source_columns(features)}
    declared = [feature.model_dump(mode="json") for feature in features]
    return hashlib.sha256(canonical_json({"features": declared, "types": types}).encode()).hexdigest()


def _write_learned(folder: Path, feature: AnyFeature, constants: Constants) -> dict[str, Any]:
    learned = constants[feature.name]
    if isinstance(learned, Vocabulary):
        artifacts.write_json(_vocabulary_path(folder, feature.name), asdict(learned))
        return {"learned": feature.learns}
    return {"learned": feature.learns, **asdict(learned)}


def _read_learned(folder: Path, name: str, values: dict[str, Any]) -> Learned:
    learns = values.pop("learned")
    if learns == "vocabulary":
        read = artifacts.read_json(_vocabulary_path(folder, name))
        rare = tuple((token, count) for token, count in read.get("rare", ()))
        return Vocabulary(tuple(read["tokens"]), tuple(read["counts"]), rare)
    if learns == "bounds":
        return Bounds(tuple(values["bounds"]), tuple(values.get("quantiles", ())))
    return LEARNED[learns](**values)


def _vocabulary_path(folder: Path, name: str) -> Path:
    return folder / artifacts.VOCABULARY / f"{name}.json"
