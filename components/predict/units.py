"""A unit of work: rows that become one file of the output."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """Consecutive rows of one file; where they lie, not what they are, so that it costs nothing to hand on."""

    path: str
    start: int
    """First row group of Parquet, first byte of CSV."""
    stop: int
    """The one after the last."""
    first_line: int
    """Number of the first row: Parquet's count from 1; CSV's from 2, after the header, without blank lines."""
    rows: int
