"""Warm or cold: whether training goes on from a version or begins anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components import artifacts
from components.features.columns import Data
from components.features.declaration import Constants, Moments
from components.features.transform import Transform, features_digest
from components.learning.changes import changes, read_network
from components.preprocess.config import PreprocessConfig
from components.preprocess.drift import Drift, largest


@dataclass(frozen=True)
class Base:
    """What is kept of the version that a warm start goes on from."""

    version: int
    constants: Constants
    trained_until: int | None
    """Seconds since 1970 from which on rows are new; None without a time column."""
    partitions: frozenset[str]
    """Digests of the partitions that it knows."""
    label: Moments
    """Of the numbers to predict; the least and the largest are not known, and zero."""


@dataclass(frozen=True)
class Start:
    """Where training starts: at a base (warm) or anew (cold, None); and why, in one sentence."""

    base: Base | None
    reason: str

    @property
    def kind(self) -> str:
        """`warm` or `cold`."""
        return "cold" if self.base is None else "warm"

    def judged(self, drifts: Sequence[Drift], limit: float) -> "Start":
        """This warm start, with the largest drift in its reason; a cold one where that is above the limit."""
        assert self.base is not None
        drift = largest(drifts)
        if drift is None:
            return self
        size = f"a drift of {drift.deviations:.2f}"
        if drift.deviations > limit:
            since = f"since version {self.base.version} {drift.words}"
            return Start(None, f"{since}, {size}, above preprocess.max_constant_drift {limit:g}")
        return replace(self, reason=f"{self.reason}; its constants are kept: {drift.words}, {size}, limit {limit:g}")


def find_start(base: Path, config: PreprocessConfig) -> Start:
    """Decides from the version in the folder `base`, which is empty where there is none.

    Only a version with the same features, the same label and a network of the same shape has constants and weights that
    can be kept.
    """
    if not (base / artifacts.LINEAGE).exists():
        return Start(None, "resolve gave no version to start from")
    lineage = artifacts.read_json(base / artifacts.LINEAGE)
    version = lineage["version"]
    known = Transform.read(base)
    if known.features_digest() != features_digest(config.features, config.data):
        return Start(None, f"the features or the types of their columns changed since version {version}")
    if _target(known.data) != _target(config.data):
        return Start(None, f"the label, the task, the classes or the time column changed since version {version}")
    if changed := changes(config.network, read_network(base)):
        return Start(None, f"{changed} in version {version}")
    examples = artifacts.Examples.read(base)
    if examples.split != config.split:
        return Start(
            None, f"version {version} may have trained on what is held out now, by its split: {examples.split}"
        )
    return Start(
        Base(
            version,
            known.constants,
            lineage["trained_until"],
            frozenset(lineage["partitions"]),
            Moments(examples.label_mean, examples.label_std, 0.0, 0.0),
        ),
        f"version {version} has the same features and the same label",
    )


def _target(data: Data) -> tuple[object, ...]:
    return data.label, data.task, data.label_classes, data.time
