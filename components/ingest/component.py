"""KFP signature of ingest."""

from components.orchestration.step import uncached_step


@uncached_step
def ingest(config: str, name: str, work: str, until: str) -> str:
    from pathlib import Path

    from components.ingest.config import IngestConfig
    from components.ingest.ingest import ingest
    from components.schema import parse

    return str(ingest(parse(IngestConfig, config), Path(work), name, until))
