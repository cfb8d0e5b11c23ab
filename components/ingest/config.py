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
    remember_digests: bool = Field(
        True,
        description="whether a file whose path, size, times and inode are as they were when it was read (in a bucket: "
        "whose checksum is) is taken to hold what it held; false reads every byte in every run, which is right on "
        "FAT and on FUSE mounts that let the time of the last change be set",
    )


class IngestConfig(Section):
    """What ingest reads."""

    data: Data
    ingest: Ingest
