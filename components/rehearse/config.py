"""The section `rehearse` of model.yaml."""

from pydantic import Field

from components.schema import Section


class Rehearse(Section):
    """What the server must bear with a model before that goes into service."""

    latency_p50_ms: float | None = Field(
        10.0, gt=0, description="largest median time of a request of one instance, in milliseconds; null: no limit"
    )
    latency_p99_ms: float | None = Field(
        100.0, gt=0, description="largest 99th percentile of that time, in milliseconds; null: no limit"
    )
    min_requests_per_s: float | None = Field(
        100.0, gt=0, description="smallest number of such requests answered in a second; null: no limit"
    )
    memory_mb: float | None = Field(
        500.0, gt=0, description="largest resident memory of the server, in millions of bytes; null: no limit"
    )
    start_s: float | None = Field(
        20.0, gt=0, description="longest time from the server's start until it is ready, in seconds; null: no limit"
    )
    tolerance: float = Field(
        1e-5, ge=0, description="largest difference of an answer x, as a share of max(1, |x|), from what evaluate saw"
    )
    requests: int = Field(
        2000, ge=100, le=100_000, description="recorded requests, and held-out rows, to replay at most"
    )
    concurrency: int = Field(16, ge=1, le=256, description="connections at once when requests per second are counted")


class RehearseConfig(Section):
    """What rehearse reads."""

    name: str
    rehearse: Rehearse
