"""KFP signature of rehearse."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.orchestration.step import uncached_step


@uncached_step
def rehearse(config: str, work: str, chosen: Input[Model], examples: Input[Dataset], recorded: Output[Artifact]) -> str:
    from pathlib import Path

    from components.rehearse.config import RehearseConfig
    from components.rehearse.rehearse import rehearse
    from components.schema import parse

    return rehearse(Path(chosen.path), Path(examples.path), parse(RehearseConfig, config), work, Path(recorded.path))
