"""Logged requests that go: files that were last written to before `retention.requests_days`."""

from collections.abc import Iterator

from components.cleanup.deletion import Deletion, day
from components.cleanup.generation import DAY_S
from components.cleanup.situation import Situation
from components.cleanup.survey import Unit, requests_of


def expired_requests(situation: Situation) -> Iterator[Deletion]:
    """A server that still holds such a file goes on with a new one."""
    days = situation.retention.requests_days
    for unit in situation.found.units(requests_of(situation.model)):
        if situation.now_s - unit.newest_s > days * DAY_S:
            yield Deletion.of(unit, f"requests until {day(unit.newest_s)}, older than {days} days")
        elif unit.path in situation.earlier:
            why = f"requests until {day(unit.newest_s)}, to fit into {situation.retention.bytes:,} bytes"
            yield Deletion.of(unit, why)


def optional_requests(situation: Situation) -> Iterator[Unit]:
    """The files that are kept for their age alone; a server may be writing to the youngest."""
    for unit in situation.found.units(requests_of(situation.model)):
        if situation.now_s - unit.newest_s > DAY_S:
            yield unit
