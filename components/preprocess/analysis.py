"""What is learned from the training rows: TensorFlow Transform's analyzers, as few as can be.

An analyzer costs Beam about as much whatever it analyzes. So there is one of each sort over all numbers stacked to a
vector, and one vocabulary of the tokens of all features, each with its feature's name in front.
"""

from collections.abc import Iterable, Sequence

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.features.columns import Data
from components.features.columns_tf import RawTensors
from components.features.declaration import Bounds, Constants, Moments, Vocabulary
from components.features.declared import AnyFeature
from components.features.numeric import Numeric
from components.features.prepare_tf import prepare

RANK_ERROR = 0.001
"""How far a quantile may be off, as a share of the rows."""
VOCABULARY = "tokens"
SEPARATOR = "\x1e"
"""Between a feature's name, which cannot hold it, and a token."""
MEAN, VARIANCE, MAXIMUM, NEGATED_MINIMUM = "mean", "variance", "maximum", "negated_minimum"

Numbers = dict[str, np.ndarray]
"""Name of an analyzer → what it found, (numbers,) float64."""


class Analysis:
    """The analyzers for some features, and the constants in what they find."""

    def __init__(self, features: Sequence[AnyFeature], data: Data) -> None:
        self._data = data
        self._numeric = [feature for feature in features if feature.learns in ("moments", "bounds")]
        self.tokens = [feature for feature in features if feature.learns == "vocabulary"]

    def analyze(self, raw: RawTensors, is_new: tf.Tensor) -> dict[str, tf.Tensor]:
        """Puts the analyzers into the graph that is being traced.

        Args:
            raw: dense columns of shape (batch,).
            is_new: (batch,) bool; the tokens of other rows are known, but not counted again.

        Returns:
            For each analyzer of numbers, what it finds, (numbers,) float64. The tokens go to a file of their own.
        """
        if self.tokens:
            self._analyze_tokens(raw, is_new)
        return self._analyze_numbers(raw) if self._numeric else {}

    def constants(self, numbers: Numbers, records: Iterable[bytes]) -> Constants:
        """The constants in what the analyzers found.

        Vocabularies are complete, the most frequent token first: neither `min_count` nor `max_size` is applied.

        Args:
            numbers: as `analyze` gives them.
            records: of the vocabulary: count, space, name of a feature, separator, token.
        """
        constants: Constants = {feature.name: Vocabulary((), ()) for feature in self.tokens}
        constants.update(_vocabularies(records))
        if self._numeric:
            constants.update(self._of_numbers(numbers))
        return constants

    def _analyze_numbers(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        numbers = tf.stack([prepare(feature, raw, self._data) for feature in self._numeric], axis=1)
        missing, least = tf.math.is_nan(numbers), tf.constant(float("-inf"), tf.float64)
        extremes = tft.max(
            tf.concat([tf.where(missing, least, numbers), tf.where(missing, least, -numbers)], axis=1),
            reduce_instance_dims=False,
        )
        found = {
            MEAN: tft.mean(numbers, reduce_instance_dims=False),
            VARIANCE: tft.var(numbers, reduce_instance_dims=False),
            MAXIMUM: extremes[: len(self._numeric)],
            NEGATED_MINIMUM: extremes[len(self._numeric) :],
        }
        for place, feature in enumerate(self._numeric):
            if isinstance(feature, Numeric) and feature.buckets:
                # Not of the stacked vector: that analyzer fails where all values of one of its numbers are missing.
                bounds = tft.quantiles(numbers[:, place], feature.buckets, RANK_ERROR)
                found[_bounds_name(feature)] = tf.reshape(tf.cast(bounds, tf.float64), [feature.buckets - 1])
        return found

    def _analyze_tokens(self, raw: RawTensors, is_new: tf.Tensor) -> None:
        values = tf.stack([prepare(feature, raw, self._data) for feature in self.tokens], axis=1)
        names = tf.constant([feature.name + SEPARATOR for feature in self.tokens])
        named = tf.strings.join([tf.broadcast_to(names, tf.shape(values)), values])
        counted = tf.broadcast_to(tf.cast(is_new, tf.float64)[:, tf.newaxis], tf.shape(values))
        tft.vocabulary(
            tf.boolean_mask(named, values != ""),
            # Weighted tokens are counted a batch at a time in TensorFlow, others one by one in Python.
            weights=tf.boolean_mask(counted, values != ""),
            store_frequency=True,
            vocab_filename=VOCABULARY,
            # A file of lines would lose tokens with a line break.
            file_format="tfrecord_gzip",
        )

    def _of_numbers(self, numbers: Numbers) -> Constants:
        stds = np.sqrt(np.maximum(numbers[VARIANCE], 0))
        columns = zip(self._numeric, numbers[MEAN], stds, -numbers[NEGATED_MINIMUM], numbers[MAXIMUM])
        constants: Constants = {}
        for feature, *found in columns:
            moments = Moments(*map(float, found))
            # Where every value is missing, the extremes are those of nothing.
            some = moments.min <= moments.max
            if feature.learns == "bounds":
                bounds, quantiles = np.unique(numbers[_bounds_name(feature)], return_counts=True)
                constants[feature.name] = (
                    Bounds(*map(tuple, (bounds.tolist(), quantiles.tolist()))) if some else Bounds(())
                )
            else:
                constants[feature.name] = moments if some else Moments(0.0, 0.0, 0.0, 0.0)
        return constants


def _bounds_name(feature: AnyFeature) -> str:
    return f"bounds_{feature.name}"


def _vocabularies(records: Iterable[bytes]) -> Constants:
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        count, _, named = record.decode().partition(" ")
        name, separator, token = named.partition(SEPARATOR)
        # Where no row has a token, TensorFlow Transform makes one up, without a name.
        if separator:
            counts.setdefault(name, {})[token] = int(float(count))
    return {name: Vocabulary(*zip(*sorted(found.items(), key=_rank))) for name, found in counts.items()}


def _rank(counted: tuple[str, int]) -> tuple[int, str]:
    token, count = counted
    return -count, token
