"""How a network is fitted, wherever it is: the keys of the `train` section that compress reads too."""

from typing import Literal

from pydantic import Field, model_validator

from components.errors import UserError
from components.learning import course
from components.schema import Section


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

    def limits(self, cores: float, accelerators: int) -> course.Budget:
        """The budget of a training that uses so many cores and accelerators.

        Raises:
            UserError: there is a limit to the cost, and none of them has a price.
        """
        per_hour = self.core_hour * cores + self.accelerator_hour * accelerators
        if self.max_cost is not None and not per_hour:
            raise UserError("train.budget.max_cost is set, but what trains here has no price; set core_hour")
        seconds = None if self.max_minutes is None else self.max_minutes * 60
        return course.Budget(seconds, self.max_examples, self.max_cost, per_hour)


class Fitting(Section):
    """What the training of a network and that of its variants have in common."""

    batch_size: int | None = Field(
        None,
        ge=1,
        le=1_048_576,
        description="examples per step and replica; null: about 200 steps an epoch, from 16 to 1024 each. With more "
        "replicas a step takes more examples and an epoch fewer steps",
    )
    epochs: int = Field(50, ge=1, le=10_000, description="most epochs; training usually ends before")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size at the beginning of a cold start")
    patience: int = Field(2, ge=1, le=1000, description="epochs without improvement after which training stops")
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
