"""KFP signature of deploy."""

from kfp.dsl import Artifact, Dataset, Input, Model

from components.orchestration.step import uncached_step


@uncached_step
def deploy(
    config: str,
    origin: str,
    base: str,
    serving: str,
    work: str,
    chosen: Input[Model],
    model: Input[Model],
    statistics: Input[Artifact],
    snapshot: Input[Dataset],
    recorded: Input[Artifact],
) -> str:
    import json
    from pathlib import Path

    from components.deploy.config import DeployConfig
    from components.deploy.deploy import Sources, deploy
    from components.schema import parse

    return deploy(
        Sources(
            chosen=Path(chosen.path),
            model=Path(model.path),
            statistics=Path(statistics.path),
            snapshot=Path(snapshot.path),
            recorded=Path(recorded.path),
            base=base,
            serving=serving,
        ),
        parse(DeployConfig, config),
        json.loads(origin),
        work,
    )
