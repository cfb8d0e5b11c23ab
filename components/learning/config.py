"""The `network` section of model.yaml: which network is trained."""

import math
from typing import Annotated, Literal

from pydantic import Field

from components.features.declared import Features
from components.features.image import Image
from components.schema import Section

Width = Annotated[int, Field(ge=1, le=16384)]


class Linear(Section):
    """A generalized linear model: one weight for each float and for each id."""

    kind: Literal["linear"] = "linear"
    l2: float = Field(0.0, ge=0, description="L2 penalty on the weights of floats and ids")


class _Deep(Section):
    """What all networks with hidden layers share."""

    hidden: tuple[Width, ...] = Field((128, 64), min_length=1, description="units of the hidden layers, first to last")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units left out after each hidden layer in training")
    embedding_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of whole id embeddings left out in training; makes rare ids lean on others"
    )
    l2: float = Field(0.0, ge=0, description="L2 penalty on the kernels of the hidden layers")
    max_embedding_width: int = Field(
        32, ge=1, le=1024, description="widest embedding of an id; n different ids get ceil(6 * n^0.25), at most this"
    )

    def embedding_width(self, size: int) -> int:
        """Width of the embedding of an id with `size` different values."""
        return min(self.max_embedding_width, size, math.ceil(6 * size**0.25))


class Mlp(_Deep):
    """Hidden layers on the floats and the embeddings of the ids."""

    kind: Literal["mlp"] = "mlp"


class WideDeep(_Deep):
    """Wide & deep: an MLP whose output is added to a linear model of the ids (Cheng et al. 2016, arXiv:1606.07792)."""

    kind: Literal["wide_deep"] = "wide_deep"


class Dcn(_Deep):
    """Deep & cross, version 2: explicit feature crosses beside an MLP (Wang et al. 2020, arXiv:2008.13535)."""

    kind: Literal["dcn"] = "dcn"
    cross_layers: int = Field(
        2, ge=1, le=8, description="number of cross layers; n of them give crosses of degree n + 1"
    )


class Convolutional(_Deep):
    """Convolutions on the image; hidden layers on what they see, the floats and the embeddings of the ids."""

    kind: Literal["convolutional"] = "convolutional"
    filters: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        (32, 64), min_length=1, max_length=8, description="filters of each block; a block halves height and width"
    )
    kernel: int = Field(3, ge=1, le=15, description="height and width in pixels that a filter sees")
    pooling: Literal["flatten", "average"] = Field(
        "flatten", description="how the last block's maps become a vector: all values, or the mean of each map"
    )
    hidden: tuple[Width, ...] = Field((128,), min_length=1, description="units of the hidden layers, first to last")


Network = Annotated[Linear | Mlp | WideDeep | Dcn | Convolutional, Field(discriminator="kind")]


def check_network(network: Network, features: Features) -> None:
    """Refuses a network that does not see the image, or that there is none for.

    Raises:
        ValueError: names the network's kind and the feature, and what to do.
    """
    image = next((feature for feature in features if isinstance(feature, Image)), None)
    if isinstance(network, Convolutional) and image is None:
        raise ValueError("network.kind is convolutional, which needs a feature of kind image; declare one")
    if image is not None and not isinstance(network, Convolutional):
        raise ValueError(
            f"network.kind is {network.kind}, which does not see the image {image.name}; use convolutional"
        )
    if image is not None and isinstance(network, Convolutional) and min(image.shape[:2]) < 2 ** len(network.filters):
        raise ValueError(
            f"network.filters has {len(network.filters)} blocks, each halving the image {image.name} of "
            f"{image.height} by {image.width} pixels; use fewer"
        )
