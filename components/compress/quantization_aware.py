"""quantization_aware: dense layers and convolutions learn with the rounding that int8 will do to them (Jacob et al.
2018, arXiv:1712.05877), by TFMOT; the rest of the network is quantized after training.

The weights of a dense layer share one scale, while those that `int8` quantizes without training have one for each unit:
TFMOT can simulate these too, but the converter then fails (`tfl.transpose` has mismatched quantized axes). Convolutions
have one for each filter.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
    default_8bit_prune_preserve_quantize_scheme,
    prune_preserve_quantize_registry,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

from components.compress.candidate import Candidate
from components.compress.config import Recipe
from components.compress.source import Inputs, calibration
from components.compress.tune import Tuner
from components.learning.dropout import Dropout
from components.learning.legacy_keras import tf_keras
from components.learning.lookups import Joined

layers = tf_keras.layers
QUANTIZED = (layers.Dense, layers.Conv2D)
"""TFMOT refuses embeddings, and what takes ids."""
quantization = tfmot.quantization.keras
_PLAIN = quantization.default_8bit.Default8BitQuantizeScheme()


class _Registry(prune_preserve_quantize_registry.Default8bitPrunePreserveQuantizeRegistry):
    def supports(self, layer: tf_keras.layers.Layer) -> bool:
        """TFMOT's own says so of every layer without weights, and then cannot treat our dropout."""
        return super().supports(layer) and _PLAIN.get_quantize_registry().supports(layer)


class _KeepsZeros(default_8bit_prune_preserve_quantize_scheme.Default8BitPrunePreserveQuantizeScheme):
    def get_quantize_registry(self) -> _Registry:
        return _Registry()


def change(candidate: Candidate, recipe: Recipe, tuner: Tuner) -> Candidate:
    """The network with simulated rounding, fine-tuned; its zeros stay where it was pruned."""
    assert recipe.fine_tune is not None
    if not any(isinstance(layer, QUANTIZED) for layer in candidate.network.layers):
        tuner.note("quantization_aware: the network has no layer to train with rounding; it stays as it is")
        return candidate

    def change_network(start: Candidate) -> tf_keras.Model:
        return quantized(start, calibration(tuner.examples))

    network = tuner.fine_tune("quantization_aware", candidate, recipe.fine_tune, change_network)
    return replace(candidate, network=network, is_quantized=True)


def quantized(candidate: Candidate, batches: Iterable[Inputs]) -> tf_keras.Model:
    """The network with simulated rounding, its ranges those that the activations have on some inputs."""
    plain = candidate.served()
    if candidate.is_pruned:
        # TFMOT keeps the zeros of what it quantizes only.
        for layer in plain.layers:
            layer.trainable = layer.trainable and not isinstance(layer, (layers.Embedding, Joined))
        scheme = _KeepsZeros()
    else:
        scheme = _PLAIN

    def annotate(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        return quantization.quantize_annotate_layer(layer) if isinstance(layer, QUANTIZED) else layer

    # Layers are made anew from their description; ours among them.
    with quantization.quantize_scope({"Dropout": Dropout, "Joined": Joined}):
        annotated = tf_keras.models.clone_model(plain, clone_function=annotate)
        found = quantization.quantize_apply(annotated, scheme)
    _set_ranges(found, candidate.served(), batches)
    return found


def _set_ranges(network: tf_keras.Model, plain: tf_keras.Model, batches: Iterable[Inputs]) -> None:
    """TFMOT begins with -6 to 6 and comes to the true range only in thousands of steps."""
    wrappers = [layer for layer in network.layers if isinstance(getattr(layer, "layer", None), layers.Layer)]
    names = [wrapper.layer.name for wrapper in wrappers]
    watched = tf_keras.Model(plain.input, {name: plain.get_layer(name).output for name in names})
    ranges = dict.fromkeys((*names, *plain.input), (0.0, 0.0))  # with zero in it, as TFMOT wants it
    for inputs in batches:
        for name, values in {**watched(inputs), **inputs}.items():
            low, high = ranges[name]
            ranges[name] = min(low, float(np.min(values))), max(high, float(np.max(values)))
    for wrapper, name in zip(wrappers, names):
        _set_range(wrapper, ("output", "post_activation"), *ranges[name])
    for layer in network.layers:
        if isinstance(layer, QuantizeLayer):
            source = layer.inbound_nodes[0].inbound_layers.name
            _set_range(layer, (layer.name,), *ranges[source])


def _set_range(layer: tf_keras.layers.Layer, names: tuple[str, ...], low: float, high: float) -> None:
    wanted = {f"{name}_{end}:0": value for name in names for end, value in (("min", low), ("max", high))}
    for variable in layer.variables:
        last = variable.name.rpartition("/")[2]
        if last in wanted:
            variable.assign(wanted[last])
