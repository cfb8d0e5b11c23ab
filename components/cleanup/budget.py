"""`retention.bytes`: what is kept only for its number or age goes earlier, oldest first, until the rest fits."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from components.cleanup.deletion import Deletion
from components.cleanup.outputs import outputs_of
from components.cleanup.requests import optional_requests
from components.cleanup.run_folders import optional_runs
from components.cleanup.situation import Situation
from components.cleanup.survey import Unit, of_model
from components.cleanup.versions import optional_versions


def fit(situation: Situation, decide: Callable[[Situation], Sequence[Deletion]]) -> None:
    """Fills `situation.earlier`, and notes it where the model's bytes cannot fit.

    Args:
        situation: what is known of the model.
        decide: what would go; it looks at `situation.earlier`. The more is in that, the more goes.
    """
    limit = situation.retention.bytes
    if limit is None:
        return
    sizes = _counted(situation)

    def left() -> int:
        going = {item.path for item in decide(situation)}
        return sum(size for path, size in sizes.items() if path not in going)

    if left() <= limit:
        return
    runs = [run.unit for run in situation.own_runs]
    units = sorted([*optional_versions(situation), *runs, *optional_requests(situation)], key=_age)

    def fits(place: int) -> bool:
        _give_up(situation, units[place])
        return left() <= limit

    # The youngest that must go is found by halving: each look decides about everything.
    place = bisect_left(range(len(units)), True, key=fits)
    if place == len(units) or not fits(place):
        situation.note(
            f"retention.bytes is {limit:,}, but what {situation.model} needs or may still use takes {left():,}; "
            "raise it, or lower retention.days or retention.versions"
        )


def _give_up(situation: Situation, youngest: Unit) -> None:
    """Lets go what is kept for its number or age alone and as old as a unit; a version lets go of its run, too."""
    situation.earlier = set()
    situation.earlier = {unit.path for unit in optional_versions(situation) if _age(unit) <= _age(youngest)}
    others = [*optional_runs(situation), *optional_requests(situation)]
    situation.earlier |= {unit.path for unit in others if _age(unit) <= _age(youngest)}


def _age(unit: Unit) -> tuple[float, str]:
    return unit.newest_s, unit.path


def _counted(situation: Situation) -> dict[str, int]:
    """The bytes of a model's data, versions, runs, outputs and requests, by path: what `retention.bytes` is about."""
    runs = [run.unit for run in situation.own_runs]
    units = [*of_model(situation.found, situation.model), *runs, *outputs_of(situation)]
    return {unit.path: unit.bytes for unit in units}
