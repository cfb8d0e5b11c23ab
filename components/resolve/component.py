"""KFP signature of resolve."""

from typing import NamedTuple

from components.orchestration.step import uncached_step


@uncached_step
def resolve(config: str, snapshot: str, work: str) -> NamedTuple(
    "Resolved", base=str, serving=str, base_digest=str, generation=str
):
    from components.resolve.config import ResolveConfig
    from components.resolve.resolve import resolve
    from components.schema import parse

    return resolve(parse(ResolveConfig, config), work, snapshot)
