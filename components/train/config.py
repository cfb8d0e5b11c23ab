"""The `train` section of model.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from components.learning.config import Network
from components.schema import Section
from components.train.tfjob_config import TFJobSettings

SPREAD = ("multi_worker", "parameter_server")
"""Strategies with several processes."""


class Budget(Section):
    """What one training may use; where one is used up, the best weights so far are kept."""

    max_minutes: float | None = Field(None, gt=0, description="minutes of training and validation; null: no limit")
    max_examples: int | None = Field(None, ge=1, description="examples seen, each time counted; null: no limit")
    max_cost: float | None = Field(None, gt=0, description="cost at the prices below; null: no limit")
    core_hour: float = Field(0.0, ge=0, description="price of a processor core for an hour, in your currency")
    accelerator_hour: float = Field(0.0, ge=0, description="price of a GPU or TPU for an hour, in the same currency")

    @model_validator(mode="after")
    def _check(self) -> "Budget":
        if self.max_cost is not None and not self.core_hour + self.accelerator_hour:
            raise ValueError(
                f"max_cost is {self.max_cost:g}, but nothing has a price; set core_hour or accelerator_hour"
            )
        return self


class Train(Section):
    """How the network is fitted: where, how fast, for how long."""

    strategy: Literal["auto", "single", "mirrored", "multi_worker", "parameter_server", "tpu"] = Field(
        "auto",
        description="how training is distributed; auto: multi_worker if workers > 1, mirrored if a machine has several "
        "GPUs, else single",
    )
    launch: Literal["local", "tfjob"] = Field(
        "local", description="where several processes run: on this machine, or as a TFJob of the training operator"
    )
    tfjob: TFJobSettings = Field(default_factory=TFJobSettings)
    workers: int = Field(
        1, ge=1, le=1000, description="processes that train; the last resort where one machine is not enough"
    )
    parameter_servers: int = Field(1, ge=1, le=1000, description="processes that hold weights (parameter_server only)")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=1_048_576,
        description="examples per step and replica; null: about 200 steps an epoch, from 16 to 1024 each. With more "
        "replicas a step takes more examples and an epoch fewer steps",
    )
    epochs: int = Field(50, ge=1, le=10_000, description="most epochs; training usually ends before")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size at the beginning of a cold start")
    warm_learning_rate: float = Field(5e-4, gt=0, le=1, description="the same where training starts from a base")
    changed_network: Literal["cold", "refuse"] = Field(
        "cold",
        description="what happens where the weights of the base do not fit the network: training starts anew, on all "
        "rows, or ends in an error; another dropout or l2 is no change",
    )
    shrink: float = Field(
        1.0,
        gt=0,
        le=1,
        description="what a warm start multiplies the base's weights by, those of ids left out (Ash & Adams 2020, "
        "arXiv:1910.08475); below 1, or with perturb, the optimizer starts fresh",
    )
    perturb: float = Field(
        0.0, ge=0, le=1, description="what fresh weights are multiplied by before they are added to the shrunk ones"
    )
    learning_rate_scaling: Literal["none", "sqrt", "linear"] = Field(
        "sqrt",
        description="what the step size is multiplied by with n replicas: 1, the root of n (for Adam, Malladi et al. "
        "2022, arXiv:2205.10287) or n (for SGD, Goyal et al. 2017, arXiv:1706.02677)",
    )
    patience: int = Field(2, ge=1, le=1000, description="epochs without improvement after which training stops")
    target_metric: float | None = Field(
        None, description="value of the validation metric that is good enough to stop; null: none"
    )
    budget: Budget = Field(default_factory=Budget)
    refit: bool = Field(
        True,
        description="whether, once the best epoch is known, training starts over with the validation examples added",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the initial weights and of the order of the examples")
    deterministic: bool = Field(
        False, description="whether the same seed gives the same weights bit for bit; slower, one process only"
    )
    checkpoint_minutes: float = Field(5, gt=0, le=1440, description="minutes between two checkpoints")
    cache: Literal["auto", "memory", "disk", "none"] = Field(
        "auto",
        description="where parsed examples are kept from epoch to epoch; auto: in memory where they fit, else nowhere",
    )
    cache_memory_share: float = Field(
        0.25, gt=0, le=0.9, description="share of the memory that the cached examples of a process may take"
    )
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32",
        description="what is computed with; weights are float32 and mixed with the others. auto: measured at the start",
    )
    xla: Literal["off", "on", "auto"] = Field(
        "off", description="whether XLA compiles the steps; auto: measured at the start, where there is an accelerator"
    )

    @model_validator(mode="after")
    def _check(self) -> "Train":
        if self.workers > 1 and self.strategy not in ("auto", *SPREAD):
            raise ValueError(
                f"workers is {self.workers}, but strategy {self.strategy} has one process; "
                "use auto, multi_worker or parameter_server"
            )
        if self.launch == "tfjob" and (not self.is_spread or self.process_count < 2):
            raise ValueError("launch is tfjob, but one process trains; raise workers, or set launch to local")
        if self.precision == "float16" and self.strategy == "parameter_server":
            raise ValueError("precision float16 scales losses, which strategy parameter_server cannot; use bfloat16")
        if self.strategy == "parameter_server" and self.cache in ("memory", "disk"):
            raise ValueError(f"cache is {self.cache}, but workers of parameter servers stream; use auto or none")
        if self.strategy != "parameter_server" and self.parameter_servers > 1:
            raise ValueError(
                f"parameter_servers is {self.parameter_servers}, but strategy is {self.strategy}; use parameter_server"
            )
        if self.deterministic and "auto" in (self.precision, self.xla):
            raise ValueError("deterministic is true, but precision or xla is auto, which is measured; choose one")
        if self.deterministic and (self.workers > 1 or self.strategy in SPREAD):
            raise ValueError("deterministic is true, but several processes train; set it to false")
        return self

    @property
    def is_spread(self) -> bool:
        """Whether several processes train."""
        return self.strategy in SPREAD or (self.strategy == "auto" and self.workers > 1)

    @property
    def process_count(self) -> int:
        """Processes of the training, without the step's own where that only waits for them."""
        if self.strategy == "parameter_server":
            return 1 + self.workers + self.parameter_servers
        return self.workers


class TrainConfig(Section):
    """Everything that train reads."""

    network: Network
    train: Train
