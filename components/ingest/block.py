"""Some consecutive rows of a source file, as a reader hands them on to be checked."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Malformed:
    """A row that has no cells to check."""

    line: int
    reason: str
    text: str
    """What stood there."""


@dataclass(frozen=True)
class Block:
    """Rows of a source file in the types that the source has."""

    cells: pa.RecordBatch
    """The declared columns."""
    lines: np.ndarray
    """Shape (rows,) int64: the rows' numbers in the source, from 1."""
    malformed: list[Malformed] = field(default_factory=list)
    """Rows that stand among these and are not in `cells`."""
