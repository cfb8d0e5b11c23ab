"""Which runs there are, whose they are, and which of them are in progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.artifacts import LEASES
from components.cleanup.reading import read_object, read_objects
from components.cleanup.survey import FINISHED, LEASE, RUN, Survey, Unit
from components.storage.process import is_living, this_process

LEASE_S = 15 * 60
"""A run whose leases had no heartbeat for so long is not in progress any more."""
SILENT_S = 24 * 60 * 60
"""Nor is one of which no step holds a lease, and that left no record for so long."""

MOST = 2**53
"""What is larger, or no number, is nothing that anybody meant."""


@dataclass(frozen=True)
class Run:
    """A run that has a folder."""

    unit: Unit
    model: str
    """Empty where nobody knows."""
    started_s: float
    """Seconds since 1970."""
    in_progress: bool


def find_runs(found: Survey, now_s: float) -> list[Run]:
    """The runs of all models, newest first; `run.json` tells whose they are, and their leases who is at work.

    On a cluster only each step holds a lease, and whose a run is its last step tells. A run whose folder cannot be
    listed counts as in progress.

    Args:
        found: what lies in the work directory.
        now_s: seconds since 1970, to tell whether a lease is alive.
    """
    units = found.units("runs")
    paths = [unit.path for unit in units if RUN in unit.marks]
    described = dict(zip(paths, read_objects(found.storage, [f"{path}/{RUN}" for path in paths])))
    leases = _leases(found, units)
    runs = []
    for unit in units:
        known = leases[unit.path].get(LEASE, {}) | described.get(unit.path, {})
        started_s = as_number(known.get("started_s"), now_s)
        runs.append(Run(unit, _model(known), started_s, _is_working(unit, leases[unit.path], now_s)))
    for path in found.unlisted:
        if path == "runs" or path.startswith("runs/"):
            known = read_object(found.storage, f"{path}/{RUN}")
            runs.append(Run(Unit(path), _model(known), now_s, in_progress=True))
    return sorted(runs, key=lambda run: run.started_s, reverse=True)


def _leases(found: Survey, units: list[Unit]) -> dict[str, dict[str, dict[str, Any]]]:
    """The leases in each run's folder by their names."""
    names = [(unit.path, mark) for unit in units for mark in unit.marks if mark == LEASE or mark.startswith(LEASES)]
    leases: dict[str, dict[str, dict[str, Any]]] = {unit.path: {} for unit in units}
    contents = read_objects(found.storage, [f"{path}/{mark}" for path, mark in names])
    for (path, mark), content in zip(names, contents):
        leases[path][mark] = content
    return leases


def _is_working(unit: Unit, leases: dict[str, dict[str, Any]], now_s: float) -> bool:
    this = this_process()  # cleanup may be called by a step, without a run's name
    others = {mark: lease for mark, lease in leases.items() if mark == LEASE or not this.items() <= lease.items()}
    if any(is_alive(lease, unit.marks[mark], now_s) for mark, lease in others.items()):
        return True
    return not unit.marks.keys() & {LEASE, RUN, FINISHED} and now_s - unit.newest_s < SILENT_S


def is_alive(lease: Mapping[str, Any], written_s: float, now_s: float) -> bool:
    """Whether whoever holds a lease is at work.

    A process of this machine is, as long as it lives; of another one the heartbeat counts, or the time at which the
    storage says that it was written, because the other's clock may be wrong.

    Args:
        lease: `this_process` and `heartbeat_s`; empty where it could not be read.
        written_s: when it was written, by the storage's clock, in seconds since 1970.
        now_s: seconds since 1970.
    """
    living = is_living(lease)
    if living is not None:
        return living
    # What lies in the future counts no longer than what lies in the past: no clock that was wrong holds for ever.
    return any(abs(now_s - beat_s) < LEASE_S for beat_s in (as_number(lease.get("heartbeat_s"), written_s), written_s))


def _model(known: Mapping[str, Any]) -> str:
    return str(known.get("model") or "")


def as_number(value: Any, otherwise: float) -> float:
    """A number of a file that somebody wrote; something else where it holds none."""
    return float(value) if isinstance(value, int | float) and abs(value) < MOST else otherwise
