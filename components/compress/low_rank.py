"""low_rank: a matrix W (m, n) becomes a product A (m, r) B (r, n) of the best approximation of rank r (Eckart & Young
1936), and the network is fine-tuned."""

import logging
from dataclasses import replace

import numpy as np

from components.compress.candidate import Candidate, built
from components.compress.config import Recipe
from components.compress.tune import Tuner
from components.learning.factored import factor_of
from components.learning.legacy_keras import tf_keras
from components.learning.lookups import WIDE
from components.learning.variables import State

log = logging.getLogger(__name__)
TYPES = (tf_keras.layers.Dense, tf_keras.layers.Embedding)


def change(candidate: Candidate, recipe: Recipe, tuner: Tuner) -> Candidate:
    """The network with each dense layer and embedding factored where that saves weights; all of them fine-tuned."""
    assert recipe.low_rank is not None and recipe.fine_tune is not None
    small = factored(candidate, recipe.low_rank.energy)
    if small is candidate:
        tuner.note("low_rank: no matrix of the network has a rank that saves weights; it stays as it is")
        return candidate
    return replace(small, network=tuner.fine_tune("low_rank", small, recipe.fine_tune))


def factored(candidate: Candidate, energy: float) -> Candidate:
    """The candidate with factored layers; itself where that saves nothing.

    The weights of the wide part stay: of a linear model of ids there is one for each output, and products save none.

    Args:
        candidate: without factored layers.
        energy: share of the sum of squared singular values of a matrix that is kept.
    """
    ranks: dict[str, int] = {}
    state = candidate.state()
    for layer in candidate.network.layers:
        if not isinstance(layer, TYPES) or layer.name.startswith(WIDE):
            continue
        matrix = layer.weights[0]
        rows, columns = matrix.shape
        left, values, right = np.linalg.svd(matrix.numpy().astype(np.float64), full_matrices=False)
        rank = rank_of(values, energy)
        if rank * (rows + columns) < rows * columns:
            ranks[layer.name] = rank
            state.update(_factors(layer, left, values, right, rank))
            log.info("%s (%d x %d): rank %d", layer.name, rows, columns, rank)
    if not ranks:
        return candidate
    spec = replace(candidate.spec, ranks=ranks)
    return Candidate(spec, built(spec, state))


def rank_of(values: np.ndarray, energy: float) -> int:
    """The smallest rank that keeps a share of the energy; 1 at least.

    Args:
        values: singular values, descending.
        energy: share of the sum of their squares.
    """
    kept = np.cumsum(np.square(values))
    # Rounding must not ask for one more where all the energy is to be kept.
    return 1 + int(np.searchsorted(kept, energy * kept[-1] * (1 - 1e-12)))


def _factors(layer: tf_keras.layers.Layer, left: np.ndarray, values: np.ndarray, right: np.ndarray, rank: int) -> State:
    """The weights of the two layers, by the names that they will have; each takes the root of the singular values."""
    root = np.sqrt(values[:rank])
    last = layer.weights[0].name.rpartition("/")[2]
    return {
        f"{factor_of(layer.name)}/{last}": (left[:, :rank] * root).astype(np.float32),
        f"{layer.name}/kernel:0": (root[:, None] * right[:rank]).astype(np.float32),
    }
