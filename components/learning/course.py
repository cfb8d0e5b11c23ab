"""What a training is told, and what it tells: its schedule, its budget, its progress and its outcome."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Stage = Literal["fit", "refit", "done"]
STAGES: tuple[Stage, ...] = ("fit", "refit", "done")


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast."""

    epochs: int
    """Most epochs."""
    learning_rate: float
    patience: int
    """Epochs without improvement after which training stops."""
    target: float | None = None
    """Value of the validation metric that is good enough."""
    refit: bool = False
    """Whether to train anew on all examples, for as many epochs as were best."""
    unjudged: int = 0
    """First epochs whose weights are not weighed against others: while they are pruned, they get worse as they should.
    Until the first epoch after them the latest are the best."""


@dataclass(frozen=True)
class Budget:
    """What a training may use; None is without limit."""

    seconds: float | None = None
    examples: int | None = None
    cost: float | None = None
    cost_per_hour: float = 0.0

    def spent(self, seconds: float, examples: int) -> str | None:
        """Which budget is used up, in words; None while there is some left."""
        cost = self.cost_per_hour * seconds / 3600
        if self.seconds is not None and seconds >= self.seconds:
            return f"the budget of {self.seconds / 60:g} minutes is used up"
        if self.examples is not None and examples >= self.examples:
            return f"the budget of {self.examples:,} examples is used up"
        if self.cost is not None and cost >= self.cost:
            return f"the budget of {self.cost:g} is used up, at {self.cost_per_hour:g} an hour"
        return None


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    epoch: int
    """From 1 on."""
    loss: float
    """Mean over the training examples while the weights change."""
    validation_loss: float
    validation_metric: float
    seconds: float
    examples: int


@dataclass(frozen=True)
class Refitted:
    """How the training on all examples went."""

    epochs: int
    loss: float
    """Of the last epoch."""
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """How training went; the network has the weights to keep."""

    history: tuple[Epoch, ...]
    metric: str
    best_epoch: int
    """From 1 on."""
    stopped: str
    """Why training ended, in one sentence."""
    budget_stopped: bool
    refit: Refitted | None
    seconds: float
    """Of training and validation, in all processes that went on from each other."""
    examples: int
    """Seen in all epochs of both stages."""
    resumed: int
    """How often training went on from a checkpoint."""


@dataclass
class Progress:
    """How far a training is; with the states in its checkpoint, all that it needs to go on."""

    stage: Stage = "fit"
    epoch: int = 0
    """Complete epochs of the stage."""
    step: int = 0
    """Steps done in the next."""
    loss: float = 0.0
    """Sum of the mean losses of these steps."""
    epoch_s: float = 0.0
    seconds: float = 0.0
    examples: int = 0
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_score: tuple[float, float] = (float("-inf"), float("-inf"))
    stopped: str = ""
    budget_stopped: bool = False
    refit: Refitted | None = None
    first_step: int = 0
    """The optimizer's steps at the beginning of the stage."""
    resumed: int = 0

    @classmethod
    def read(cls, saved: dict[str, Any]) -> "Progress":
        """As `asdict` gave it, and JSON."""
        history = [Epoch(**epoch) for epoch in saved.pop("history")]
        refit = saved.pop("refit")
        metric, negated_loss = map(float, saved.pop("best_score"))
        return cls(**saved, history=history, best_score=(metric, negated_loss), refit=refit and Refitted(**refit))

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"best_score": [str(part) for part in self.best_score]}
