"""What cleanup decides: what goes, and why."""

from dataclasses import dataclass
from datetime import datetime, timezone

from components.cleanup.survey import Unit


@dataclass(frozen=True, slots=True)
class Deletion:
    """A file or folder that may go, and why."""

    path: str
    """Relative to the work directory, "/"-separated."""
    bytes: int
    why: str
    newest_s: float
    """When it was last written to, in seconds since 1970; what is written to later is left alone."""

    @classmethod
    def of(cls, unit: Unit, why: str) -> "Deletion":
        """The deletion of a unit."""
        return cls(unit.path, unit.bytes, why, unit.newest_s)


@dataclass(frozen=True)
class Failure:
    """A deletion that did not succeed; it is planned again the next time."""

    path: str
    error: str


def day(time_s: float) -> str:
    """The UTC day of a time in seconds since 1970."""
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d")
