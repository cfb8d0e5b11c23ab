"""KFP signature of train."""

from kfp.dsl import Dataset, Input, Model, Output

from components.orchestration.step import step


@step
def train(
    config: str,
    generation: str,
    base_digest: str,
    work: str,
    examples: Input[Dataset],
    base: Input[Model],
    model: Output[Model],
):
    from pathlib import Path

    from components.schema import parse
    from components.train.config import TrainConfig
    from components.train.train import train

    train(Path(examples.path), Path(base.path), parse(TrainConfig, config), work, Path(model.path))
