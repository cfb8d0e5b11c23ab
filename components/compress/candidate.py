"""A network on its way through the changes of a recipe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.learning import networks, variables, weights
from components.learning.legacy_keras import tf_keras
from components.learning.lookups import Joined
from components.learning.networks import NetworkSpec
from components.learning.variables import State


@dataclass(frozen=True)
class Candidate:
    """A network with its weights, which are never changed in place."""

    spec: NetworkSpec
    network: tf_keras.Model
    """Built from `spec`; by quantization_aware wrapped, and as it serves."""
    is_pruned: bool = False
    """Whether later changes must keep its zeros."""
    is_quantized: bool = False
    """Whether it learned with rounding; nothing but its conversion follows."""

    @classmethod
    def read(cls, model: Path) -> "Candidate":
        """The network as it was trained; `model` is the artifact of train."""
        spec = NetworkSpec.read(model)
        network = networks.build(spec)
        weights.load(network, model)
        return cls(spec, network)

    def state(self) -> State:
        """The weights by the names that the plain network has for them, without what wrappers add."""
        own = {variables.name_of(variable) for variable in networks.build(self.spec).variables}
        return {name: value for name, value in variables.read(self.network.variables).items() if name in own}

    def copy(self) -> tf_keras.Model:
        """A plain network with these weights."""
        return built(self.spec, self.state())

    def served(self) -> tf_keras.Model:
        """The network as it serves: with these weights, and as few lookups as can be."""
        if self.is_quantized:
            return self.network
        state = self.state()
        tf_keras.backend.reset_uids()
        network = networks.build(self.spec, joined=True)
        for layer in network.layers:
            if isinstance(layer, Joined):
                tables = [state[f"{name}/embeddings:0"] for name in layer.names]
                state[layer.table.name] = np.concatenate(tables)
        variables.write(network.variables, state)
        return network


def built(spec: NetworkSpec, state: State) -> tf_keras.Model:
    """A plain network with the weights of a state, which may hold more."""
    # Keras numbers layers without a name: the same network must have the same names each time.
    tf_keras.backend.reset_uids()
    network = networks.build(spec)
    variables.write(network.variables, state)
    return network
