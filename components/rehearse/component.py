"""KFP signature of rehearse."""

from kfp.dsl import Dataset, Input, Model

from components.orchestration.step import uncached_step


@uncached_step
def rehearse(config: str, work: str, chosen: Input[Model], examples: Input[Dataset]) -> str:
    from pathlib import Path

    from components.rehearse.config import RehearseConfig
    from components.rehearse.rehearse import rehearse
    from components.schema import parse

    return rehearse(Path(chosen.path), Path(examples.path), parse(RehearseConfig, config), Path(work))
