"""What a benchmark claims, and whether it holds."""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
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


def conclude(console: Console, claims: Sequence[Claim]) -> int:
    """Prints all claims; returns the exit code, 1 where one does not hold."""
    console.print(show(claims))
    holds = all(claim.holds for claim in claims)
    print("every claim holds" if holds else "a claim does not hold")
    return int(not holds)


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads `--only`: names with commas between them.

    Raises:
        argparse.ArgumentTypeError: one is unknown.
    """

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: only {', '.join(known)} can be measured")
        return chosen

    return read
