"""The section `ingest` of model.yaml."""

from pydantic import Field

from components.features.columns import Data
from components.schema import Section


class Ingest(Section):
    """Where the rows come from, and how many of them may be bad."""

    source: str = Field(
        min_length=1,
        description="files of type .csv, .parquet, .tfrecord or .tfrecord.gz: a path or a URL that fsspec can open "
        "(s3://, gs://, …), with * and ** as wildcards; {work} stands for the work directory. Files and folders below "
        "a wildcard whose name starts with . or _ are left out",
    )
    max_bad_rows: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of the rows of any one file that may be rejected; more than that stops the run",
    )


class IngestConfig(Section):
    """What ingest reads."""

    data: Data
    ingest: Ingest
