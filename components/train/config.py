"""The `train` section of model.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from components.learning.config import Network
from components.learning.fitting import Fitting
from components.schema import Section
from components.train.tfjob_config import TFJobSettings

SPREAD = ("multi_worker", "parameter_server")
"""Strategies with several processes."""


class Train(Fitting):
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
    target_metric: float | None = Field(
        None, description="value of the validation metric that is good enough to stop; null: none"
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
