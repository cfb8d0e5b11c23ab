"""Which part each row belongs to: by time where rows have one, else by the hash of their key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import farmhash
import numpy as np

from components.errors import UserError
from components.preprocess.config import Preprocess
from components.preprocess.facts import NO_DAY, Facts
from components.preprocess.start import Base

LEFT_OUT, TRAIN, REPLAY, VALIDATION, HELDOUT = range(5)
DAY_S = 86_400

Splitter = Callable[[Facts], np.ndarray]
"""The facts of a row group → (rows,) uint8, the part of each row."""


@dataclass(frozen=True)
class Calendar:
    """The days on which the parts begin, as days since 1970; each part ends where the next begins."""

    oldest: int
    train: int
    """First day of the training window; what is older is replayed."""
    validation: int
    heldout: int
    end: int


def calendar(facts: Sequence[Facts], preprocess: Preprocess, base: Base | None) -> Calendar:
    """Cuts the days of the labelled rows at midnights, so that no day is in two parts.

    The last `heldout_days` are held out, the `validation_days` before them validate, and what is earlier is trained
    on: all of it on a cold start, on a warm one from where the base's training ended.

    Raises:
        UserError: no labelled row has a time, or there are too few days.
    """
    days = np.unique(np.concatenate([np.empty(0, np.int64), *(np.unique(_usable_days(group)) for group in facts)]))
    if not len(days):
        raise UserError("no row has both a label and a time, so there is nothing to train on; check the two columns")
    first, end = int(days[0]), int(days[-1]) + 1
    validation_days, heldout_days = preprocess.days
    heldout = end - heldout_days
    validation = heldout - validation_days
    if validation <= first:
        raise UserError(
            f"the labelled rows span {end - first} days, too few for {validation_days} to validate on, {heldout_days} "
            "held out and some to train on; lower preprocess.validation_days or heldout_days, or deliver more days"
        )
    oldest = first if preprocess.window_days is None else max(first, validation - preprocess.window_days)
    train = oldest if base is None or base.trained_until is None else base.trained_until // DAY_S
    return Calendar(oldest, train, validation, heldout, end)


def by_time(days: Calendar, preprocess: Preprocess, salt: str) -> Splitter:
    """Splits by the calendar; `salt` and the seed choose the replayed rows."""

    def split(facts: Facts) -> np.ndarray:
        day = facts.order
        parts = np.full(len(day), TRAIN, np.uint8)
        parts[day < days.train] = REPLAY
        parts[(parts == REPLAY) & ((day < days.oldest) | ~_replayed(facts, preprocess, salt))] = LEFT_OUT
        parts[day >= days.validation] = VALIDATION
        parts[day >= days.heldout] = HELDOUT
        parts[np.isnan(facts.labels) | (day == NO_DAY)] = LEFT_OUT
        return parts

    return split


def by_hash(base: Base | None, preprocess: Preprocess, salt: str) -> Splitter:
    """Splits by the key's hash, so that a row is in the same part in every run."""
    validation, heldout = preprocess.shares

    def split(facts: Facts) -> np.ndarray:
        place = facts.order
        parts = np.full(len(place), TRAIN, np.uint8)
        if base is not None and facts.partition in base.partitions:
            parts[:] = np.where(_replayed(facts, preprocess, salt), REPLAY, LEFT_OUT)
        parts[place < heldout + validation] = VALIDATION
        parts[place < heldout] = HELDOUT
        parts[np.isnan(facts.labels)] = LEFT_OUT
        return parts

    return split


def _usable_days(facts: Facts) -> np.ndarray:
    return facts.order[~np.isnan(facts.labels) & (facts.order != NO_DAY)]


def _replayed(facts: Facts, preprocess: Preprocess, salt: str) -> np.ndarray:
    """(rows,) bool: a sample of `replay_share`, the same whenever it is drawn from the same rows for the same salt."""
    seed = farmhash.Fingerprint64(f"{preprocess.seed}/{salt}/{facts.partition}/{facts.group}")
    return np.random.default_rng(seed).random(len(facts.labels)) < preprocess.replay_share
