"""KFP signature of compress."""

from kfp.dsl import Dataset, Input, Model, Output

from components.orchestration.step import step


@step
def compress(
    recipe: str, generation: str, work: str, model: Input[Model], examples: Input[Dataset], variant: Output[Model]
):
    from pathlib import Path

    from components.compress.compress import compress
    from components.compress.config import Recipe
    from components.schema import parse

    compress(Path(model.path), Path(examples.path), parse(Recipe, recipe), work, Path(variant.path))
