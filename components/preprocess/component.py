"""KFP signature of preprocess."""

from kfp.dsl import Dataset, Input, Model, Output

from components.orchestration.step import step


@step
def preprocess(
    config: str,
    generation: str,
    base_digest: str,
    work: str,
    snapshot: Input[Dataset],
    base: Input[Model],
    examples: Output[Dataset],
):
    from pathlib import Path

    from components.preprocess.config import PreprocessConfig
    from components.preprocess.preprocess import preprocess
    from components.schema import parse

    preprocess(Path(snapshot.path), Path(base.path), parse(PreprocessConfig, config), work, Path(examples.path))
