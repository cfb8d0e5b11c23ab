"""What is learned from the new rows of a warm start about the numbers whose constants it keeps: their drift.

The analyzers are those of `analysis`, so that a warm start takes no other pass than a cold one. Shares of rows beyond
a bound are means of zeros and ones: they cost less than the quantiles of a cold start.
"""

from collections.abc import Sequence
from typing import cast

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.features.columns import Data
from components.features.columns_tf import RawTensors
from components.features.declaration import Bounds, Constants, Moments
from components.features.declared import AnyFeature
from components.features.prepare_tf import prepare
from components.preprocess.drift import FEWEST_VALUES, Drift, of_bounds, of_moments

MEANS, VARIANCES = "drift_means", "drift_variances"


class DriftAnalysis:
    """The analyzers for the numbers of some features, and the drifts in what they find."""

    def __init__(self, features: Sequence[AnyFeature], data: Data, known: Constants) -> None:
        self._data = data
        self._known = known
        self._numbers = [feature for feature in features if feature.learns in ("moments", "bounds")]
        learned = ((feature.name, known[feature.name]) for feature in self._numbers)
        self._bounds = {name: constants.bounds for name, constants in learned if isinstance(constants, Bounds)}

    def analyze(self, raw: RawTensors, is_new: tf.Tensor) -> dict[str, tf.Tensor]:
        """Puts the analyzers into the graph that is being traced.

        Args:
            raw: dense columns of shape (batch,).
            is_new: (batch,) bool: the base has not seen the row.

        Returns:
            For each analyzer what it finds, (numbers,) float64.
        """
        if not self._numbers:
            return {}
        nothing = tf.constant(float("nan"), tf.float64)
        numbers = [tf.where(is_new, prepare(feature, raw, self._data), nothing) for feature in self._numbers]
        means = [*numbers]
        for feature, values in zip(self._numbers, numbers):
            missing = tf.math.is_nan(values)
            means.append(tf.where(is_new, tf.cast(~missing, tf.float64), nothing))
            for bound in self._bounds.get(feature.name, ()):
                for beyond in (values < bound, values <= bound):
                    means.append(tf.where(missing, nothing, tf.cast(beyond, tf.float64)))
        return {
            MEANS: tft.mean(tf.stack(means, axis=1), reduce_instance_dims=False),
            VARIANCES: tft.var(tf.stack(numbers, axis=1), reduce_instance_dims=False),
        }

    def drifts(self, found: dict[str, np.ndarray], new_rows: int) -> list[Drift]:
        """The drift of each feature that has enough values.

        Args:
            found: as `analyze` gives it.
            new_rows: rows that the base has not seen.
        """
        if not self._numbers:
            return []
        stds = np.sqrt(np.maximum(found[VARIANCES], 0))
        means, rest = np.split(found[MEANS], [len(self._numbers)])
        drifts = []
        for feature, mean, std in zip(self._numbers, means, stds):
            ends = 1 + 2 * len(self._bounds.get(feature.name, ()))
            (present, *shares), rest = rest[:ends].tolist(), rest[ends:]
            if present * new_rows >= FEWEST_VALUES:
                drifts.append(self._drift(feature, float(mean), float(std), shares))
        return drifts

    def _drift(self, feature: AnyFeature, mean: float, std: float, shares: list[float]) -> Drift:
        known = self._known[feature.name]
        if isinstance(known, Bounds):
            return of_bounds(feature.name, known, shares[::2], shares[1::2])
        return of_moments(feature.name, cast(Moments, known), mean, std)
