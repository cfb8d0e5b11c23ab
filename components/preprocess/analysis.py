"""What is learned from the training rows: TensorFlow Transform's analyzers, as few as can be.

An analyzer costs Beam about as much whatever it analyzes. So there is one of each sort over all numbers stacked to a
vector, and one vocabulary of the tokens of all features, each with its feature's name in front.
"""

from collections.abc import Iterable, Sequence

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow
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
        self._bucketed: dict[int, list[int]] = {}
        """Number of buckets → the places of the features that have so many."""
        for place, feature in enumerate(self._numeric):
            if isinstance(feature, Numeric) and feature.buckets:
                self._bucketed.setdefault(feature.buckets, []).append(place)

    def analyze(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        """Puts the analyzers into the graph that is being traced.

        Args:
            raw: dense columns of shape (batch,).

        Returns:
            For each analyzer of numbers, what it finds, (numbers,) float64. The tokens go to a file of their own.
        """
        if self.tokens:
            self._analyze_tokens(raw)
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
            constants.update(self._moments(numbers))
            constants.update(self._bounds(numbers))
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
        for buckets, places in self._bucketed.items():
            chosen = tf.gather(numbers, places, axis=1)
            bounds = tft.quantiles(chosen, buckets, RANK_ERROR, reduce_instance_dims=False)
            found[_bounds_name(buckets)] = tf.reshape(tf.cast(bounds, tf.float64), [len(places) * (buckets - 1)])
        return found

    def _analyze_tokens(self, raw: RawTensors) -> None:
        columns = []
        for feature in self.tokens:
            values = prepare(feature, raw, self._data)
            columns.append(tf.strings.join([feature.name + SEPARATOR, tf.boolean_mask(values, values != "")]))
        tokens = tf.concat(columns, axis=0)
        tft.vocabulary(
            tokens,
            # Weighted tokens are counted a batch at a time in TensorFlow, others one by one in Python.
            weights=tf.ones_like(tokens, tf.float64),
            store_frequency=True,
            vocab_filename=VOCABULARY,
            # A file of lines would lose tokens with a line break.
            file_format="tfrecord_gzip",
        )

    def _moments(self, numbers: Numbers) -> Constants:
        variance = np.maximum(numbers[VARIANCE], 0)
        columns = zip(numbers[MEAN], np.sqrt(variance), -numbers[NEGATED_MINIMUM], numbers[MAXIMUM])
        return {
            # Where every value is missing, the extremes are those of nothing.
            feature.name: Moments(*(float(number) for number in found)) if found[2] <= found[3] else Moments(0, 0, 0, 0)
            for feature, found in zip(self._numeric, columns)
        }

    def _bounds(self, numbers: Numbers) -> Constants:
        constants: Constants = {}
        for buckets, places in self._bucketed.items():
            for place, bounds in zip(places, numbers[_bounds_name(buckets)].reshape(len(places), buckets - 1)):
                known = -numbers[NEGATED_MINIMUM][place] <= numbers[MAXIMUM][place]
                distinct = np.unique(bounds).tolist() if known else []
                constants[self._numeric[place].name] = Bounds(tuple(distinct))
        return constants


def _bounds_name(buckets: int) -> str:
    return f"bounds_{buckets}"


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
