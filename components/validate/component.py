"""KFP signature of validate."""

from kfp.dsl import Artifact, Output

from components.orchestration.step import uncached_step


@uncached_step
def validate(
    config: str, snapshot: str, serving: str, training_digest: str, force: bool, work: str, statistics: Output[Artifact]
) -> str:
    from pathlib import Path

    from components.schema import parse
    from components.validate.config import ValidateConfig
    from components.validate.validate import validate

    return validate(
        snapshot,
        serving,
        parse(ValidateConfig, config),
        training_digest,
        force,
        work,
        Path(statistics.path),
    )
