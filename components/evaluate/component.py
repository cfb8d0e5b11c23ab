"""KFP signature of evaluate."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.orchestration.step import uncached_step


@uncached_step
def evaluate(
    config: str,
    serving: str,
    work: str,
    variants: Input[list[Model]],
    examples: Input[Dataset],
    chosen: Output[Model],
    metrics: Output[Metrics],
) -> str:
    from pathlib import Path

    from components.evaluate.config import EvaluateConfig
    from components.evaluate.evaluate import evaluate
    from components.schema import parse

    return evaluate(
        [Path(variant.path) for variant in variants],
        Path(examples.path),
        serving,
        parse(EvaluateConfig, config),
        work,
        Path(chosen.path),
        metrics.log_metric,
    )
