"""KFP signature of deploy."""

from kfp.dsl import Artifact, Dataset, Input, Model

from components.orchestration.step import step


@step
def deploy(
    config: str,
    training_digest: str,
    work: str,
    chosen: Input[Model],
    model: Input[Model],
    statistics: Input[Artifact],
    snapshot: Input[Dataset],
):
    from pathlib import Path

    from components.deploy.config import DeployConfig
    from components.deploy.deploy import Sources, deploy
    from components.schema import parse

    deploy(
        Sources(Path(chosen.path), Path(model.path), Path(statistics.path), Path(snapshot.path)),
        parse(DeployConfig, config),
        training_digest,
        Path(work),
    )
