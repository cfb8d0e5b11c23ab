"""KFP signature of ingest."""

from components.orchestration.step import uncached_step


@uncached_step
def ingest(config: str, name: str, work: str, until: str) -> str:
    from components.ingest.config import IngestConfig
    from components.ingest.ingest import ingest
    from components.schema import parse

    return ingest(parse(IngestConfig, config), work, name, until)
