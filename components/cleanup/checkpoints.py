"""Checkpoints that go: of trainings, of any model, that nobody went on with for a week."""

from collections.abc import Iterator

from components.cleanup.deletion import Deletion, day
from components.cleanup.generation import DAY_S
from components.cleanup.situation import Situation

CHECKPOINT_S = 7 * DAY_S
"""A training writes a checkpoint at least once a day."""


def abandoned_checkpoints(situation: Situation) -> Iterator[Deletion]:
    """None while another run of any model is in progress: it may go on with one at this moment."""
    if situation.any_in_progress:
        return
    for unit in situation.found.units("checkpoints"):
        if situation.now_s - unit.newest_s > CHECKPOINT_S and not unit.name.startswith("."):
            yield Deletion.of(unit, f"checkpoint of a training that nobody went on with since {day(unit.newest_s)}")
