"""What all readers check of a source's column names before the first row is read."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from components.errors import UserError


def check_names(names: Sequence[str], declared: Sequence[str], path: Path) -> tuple[str, ...]:
    """The columns of the source that are not declared, and therefore ignored.

    Args:
        names: the source's columns.
        declared: the columns that must be there.
        path: the file, to name in errors.

    Raises:
        UserError: a name stands twice, or a declared column is missing.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path} has the columns {', '.join(twice)} more than once; rename or remove the repeated ones")
    missing = [name for name in declared if name not in names]
    if missing:
        raise UserError(missing_sentence(missing, [name for name in names if name not in declared], path))
    return tuple(name for name in names if name not in declared)


def missing_sentence(missing: Sequence[str], others: Sequence[str], path: Path) -> str:
    """Says which declared columns are missing, with the other column that each might be."""
    hints = [f"{name}{_hint(name, others)}" for name in missing]
    return f"{path} lacks the declared columns {', '.join(hints)}; add them there or take them out of data.columns"


def _hint(name: str, others: Sequence[str]) -> str:
    by_lower_case = {other.strip().lower(): other for other in others}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" (there is {by_lower_case[close[0]]!r})" if close else ""
