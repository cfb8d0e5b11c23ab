"""pruned: the smallest weights of each large layer become zero, more and more of them while the others make up for it.

TFMOT's wrappers hold a mask for each layer and update it in the steps themselves, following Zhu & Gupta 2017
(arXiv:1710.01878): from 0 to the wanted sparsity in the first half of the epochs, or of the budget of examples where
that is smaller, by a polynomial that flattens out. A budget of time or cost may end it before: the variant says so.
"""

import math
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot

from components.compress.candidate import Candidate, built
from components.compress.config import Recipe
from components.compress.tune import Tuner
from components.learning import variables
from components.learning.legacy_keras import tf_keras

layers = tf_keras.layers
TYPES = (layers.Dense, layers.Conv2D, layers.Embedding)
LEAST_WEIGHTS = 256
"""A smaller layer is left whole: its zeros would save nothing, and a weight of it often counts more than one of others.
"""
TOLERANCE = 0.02
"""By how much a layer's sparsity may fall short without a word."""
UPDATES = 100
"""Times that masks are updated, where there are so many steps."""
sparsity = tfmot.sparsity.keras


def change(candidate: Candidate, recipe: Recipe, tuner: Tuner) -> Candidate:
    """The network with zeros in place of its smallest weights, fine-tuned."""
    assert recipe.pruned is not None and recipe.fine_tune is not None
    if not any(map(_is_large, candidate.network.layers)):
        tuner.note(f"pruned: no layer of the network has {LEAST_WEIGHTS} weights; it stays as it is")
        return candidate
    steps = max(1, tuner.steps_within(recipe.fine_tune.epochs) // 2)
    schedule = decay(recipe.pruned.sparsity, steps)
    # Weights of an epoch that ends before the wanted sparsity is reached must not win.
    unjudged = math.ceil(steps / tuner.steps) - 1
    network = tuner.fine_tune(
        "pruned", candidate, recipe.fine_tune, lambda start: wrapped(start.copy(), schedule), unjudged
    )
    for layer in _wrappers(network):
        layer.pruning_obj.weight_mask_op()  # the last step has moved masked weights too
    reached = min(1 - float(np.count_nonzero(kernel) / kernel.size) for kernel in _kernels(network))
    if reached < recipe.pruned.sparsity - TOLERANCE:
        stopped = tuner.trained.courses["pruned"].stopped
        wanted = recipe.pruned.sparsity
        tuner.note(f"pruned: a layer has a sparsity of {reached:.2f}, not {wanted:g}: {stopped}, before it was reached")
    return Candidate(candidate.spec, built(candidate.spec, variables.read(network.variables)), is_pruned=True)


def decay(final: float, steps: int) -> Any:
    """The sparsity by step, which is `final` at `steps` or a little before, and from then on."""
    every = max(1, steps // UPDATES)
    last = steps // every * every  # masks are updated at multiples of `every` only
    return sparsity.PolynomialDecay(0.0, final, begin_step=0, end_step=last, frequency=every)


def wrapped(network: tf_keras.Model, schedule: Any) -> tf_keras.Model:
    """A network with wrappers around all layers that are pruned; it takes the layers of another, weights and all."""

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        return sparsity.prune_low_magnitude(layer, schedule) if _is_large(layer) else layer

    found = tf_keras.models.clone_model(network, clone_function=wrap)
    for layer in _wrappers(found):
        layer.pruning_step.assign(0)  # TFMOT's callback does that for Keras' fit; the layers count on
    return found


def _is_large(layer: tf_keras.layers.Layer) -> bool:
    return isinstance(layer, TYPES) and layer.count_params() >= LEAST_WEIGHTS


def _kernels(network: tf_keras.Model) -> list[np.ndarray]:
    return [weight.numpy() for layer in _wrappers(network) for weight in layer.layer.get_prunable_weights()]


def _wrappers(network: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    return [layer for layer in network.layers if hasattr(layer, "pruning_obj")]
