"""What a benchmark claims, and whether it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Claim:
    """One line of the result."""

    figure: str
    measured: str
    limit: str
    holds: bool


def at_most(figure: str, measured: float, limit: float, form: str = ",.4g") -> Claim:
    """A figure that must not be above a limit."""
    return Claim(figure, format(measured, form), f"at most {limit:{form}}", measured <= limit)


def at_least(figure: str, measured: float, limit: float, form: str = ",.4g") -> Claim:
    """A figure that must reach a limit."""
    return Claim(figure, format(measured, form), f"at least {limit:{form}}", measured >= limit)


def show(claims: Sequence[Claim]) -> Table:
    """Every claim with what was measured."""
    table = Table("figure", "measured", "limit", "holds", title="claims")
    for claim in claims:
        table.add_row(claim.figure, claim.measured, claim.limit, "yes" if claim.holds else "NO")
    return table
