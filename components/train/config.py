"""The `train` section of model.yaml."""

from pydantic import Field

from components.learning.config import Network
from components.schema import Section


class Train(Section):
    """How the network is fitted: Adam, and early stopping on the validation examples."""

    batch_size: int | None = Field(
        None, ge=1, le=1_048_576, description="examples per step; null: about 200 steps an epoch, from 16 to 1024 each"
    )
    epochs: int = Field(50, ge=1, le=10_000, description="most epochs; training usually ends before")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size at the beginning of a cold start")
    warm_learning_rate: float = Field(5e-4, gt=0, le=1, description="the same where training starts from a base")
    patience: int = Field(2, ge=1, le=1000, description="epochs without improvement after which training stops")
    refit: bool = Field(
        True,
        description="whether, once the best epoch is known, training starts over with the validation examples added",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the initial weights and of the order of the examples")
    cache_bytes: int = Field(
        2**30, ge=0, description="up to this size the examples are kept in memory; above, each epoch reads them anew"
    )


class TrainConfig(Section):
    """Everything that train reads."""

    network: Network
    train: Train
