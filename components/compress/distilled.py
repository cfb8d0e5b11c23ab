"""distilled: a smaller student learns from the trained network's answers and from the labels.

Hinton et al. 2015, arXiv:1503.02531: with the logits z of the student and v of the teacher, a temperature T and labels
y, the loss is (1 - alpha) H(y, softmax(z)) + alpha T^2 H(softmax(v / T), softmax(z / T)); T^2 makes up for the soft
gradients, which shrink by it. For a number to predict the second part is the squared difference of both predictions, in
the deviations of the label.
"""

import math
from dataclasses import replace
from typing import Any

from components.compress.candidate import Candidate
from components.compress.config import Distilled, Recipe, student_network
from components.compress.tune import Tuner
from components.learning import networks
from components.learning.course import Schedule
from components.learning.legacy_keras import tf, tf_keras
from components.learning.loop import Losses
from components.learning.networks import NetworkSpec
from components.learning.objective import example_losses

SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that they have logits."""


def change(candidate: Candidate, recipe: Recipe, tuner: Tuner) -> Candidate:
    """A student of the network, trained from its beginning."""
    assert recipe.distilled is not None
    fitting = tuner.fitting
    spec = student_of(candidate.spec, recipe.distilled)
    schedule = Schedule(fitting.epochs, fitting.learning_rate, fitting.patience, refit=fitting.refit)

    def build() -> tf_keras.Model:
        tf_keras.backend.reset_uids()
        tf_keras.utils.set_random_seed(fitting.seed + 1)
        return networks.build(spec)

    losses = losses_of_teacher(candidate.network, recipe.distilled)
    return Candidate(spec, tuner.fit("distilled", spec, build, schedule, losses))


def student_of(spec: NetworkSpec, settings: Distilled) -> NetworkSpec:
    """The specification of the student.

    Args:
        spec: of its teacher.
        settings: its widths; those that are null are half of the teacher's.
    """
    most = settings.max_embedding_width
    embeddings = tuple(math.ceil(width / 2) if most is None else min(width, most) for width in spec.embedding_widths)
    return replace(spec, network=student_network(spec.network, settings), embedding_widths=embeddings)


def losses_of_teacher(teacher: tf_keras.Model, settings: Distilled) -> Losses:
    """The loss of a student's examples, for `Loop`."""

    def losses(spec: NetworkSpec, inputs: dict[str, tf.Tensor], label: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
        taught = tf.stop_gradient(teacher(inputs, training=False))
        hard = example_losses(spec, label, predicted)
        return (1 - settings.alpha) * hard + settings.alpha * _soft(spec, taught, predicted, settings.temperature)

    return losses


def _soft(spec: NetworkSpec, taught: Any, predicted: Any, temperature: float) -> tf.Tensor:
    """How far a student is from its teacher, (batch,)."""
    if spec.task == "regression":
        return example_losses(spec, taught, predicted)
    if spec.task == "multiclass":
        soft = tf.nn.softmax(_log(taught) / temperature)
        found = tf.nn.softmax_cross_entropy_with_logits(soft, _log(predicted) / temperature)
        return temperature**2 * found
    soft, own = (tf.sigmoid((_log(each) - _log(1 - each)) / temperature) for each in (taught, predicted))
    return temperature**2 * tf_keras.losses.binary_crossentropy(soft, own)


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.clip_by_value(probabilities, SMALLEST, 1 - SMALLEST))
