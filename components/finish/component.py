"""KFP signature of finish."""

from kfp.dsl import HTML, Output

from components.orchestration.step import uncached_step


@uncached_step
def finish(config: str, name: str, work: str, report: Output[HTML]):
    from pathlib import Path

    from components.finish.config import FinishConfig
    from components.finish.finish import finish
    from components.schema import parse

    finish(parse(FinishConfig, config), work, name, Path(report.path))
