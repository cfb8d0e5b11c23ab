"""Chooses the rows to train on, to validate on and to hold out. Without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from components.artifacts import Snapshot
from components.errors import UserError
from components.features.columns import Data
from components.features.declaration import Moments
from components.preprocess.config import PreprocessConfig
from components.preprocess.drift import FEWEST_VALUES, Drift, of_moments
from components.preprocess.facts import NO_DAY, Facts, read_facts
from components.preprocess.pieces import Piece
from components.preprocess.split import (
    DAY_S,
    HELDOUT,
    LEFT_OUT,
    REPLAY,
    TRAIN,
    VALIDATION,
    Calendar,
    by_hash,
    by_time,
    calendar,
)
from components.preprocess.start import Base, Start

PARTS = {"train": (TRAIN, REPLAY), "validation": (VALIDATION,), "heldout": (HELDOUT,)}
LEARNED_FROM = {"new": (TRAIN,), "replay": (REPLAY,)}
"""What `train` consists of, by whether the base has seen it."""


@dataclass(frozen=True)
class Plan:
    """Where every row of a snapshot goes."""

    start: Start
    pieces: dict[str, tuple[Piece, ...]]
    """For `train`, its parts `new` and `replay`, `validation` and `heldout`: rows in the order of the partitions."""
    rows: dict[str, int]
    """Rows in `train`, with `replay` counted among them, `validation`, `heldout`; and those left out: `unlabelled`,
    `untimed` (a label, but no time) and `older` (before the window, or not drawn for the replay)."""
    window: dict[str, str] | None
    """`from` and `to` (exclusive) of the training window without the replay, ISO; None without a time column."""
    trained_until: int | None
    """Seconds since 1970 of the first moment that is not trained on; None without a time column."""
    label: Moments
    """Of the labels, for regression; a base's are kept, because its weights are tuned to them."""
    label_drift: tuple[Drift, ...]
    """How far the new rows' labels are from the base's; empty where that does not matter."""


@dataclass(frozen=True)
class _Split:
    parts: list[np.ndarray]
    days: Calendar | None

    def rows(self, *parts: int) -> int:
        return sum(int(np.isin(group, parts).sum()) for group in self.parts)


def plan(snapshot: Snapshot, config: PreprocessConfig, start: Start) -> Plan:
    """Assigns every row to a part.

    A warm start that has no new row to train on becomes a cold one.

    Args:
        snapshot: the rows; its digest salts the replay sample, so that each new snapshot replays other rows.
        config: how to split.
        start: warm or cold.

    Raises:
        UserError: too few days, a part that should have rows has none, a label that is not allowed, or training rows
            that all have the same one.
    """
    facts = list(read_facts(snapshot, config.data))
    split = _split(facts, config, start.base, snapshot.digest)
    if start.base is not None and not split.rows(TRAIN):
        start = Start(None, f"there are no training rows that version {start.base.version} has not seen")
        split = _split(facts, config, None, snapshot.digest)
    rows = _count(facts, split)
    _check_parts(rows, config)
    _check_labels(_labels(facts, split, PARTS["train"]), config.data)
    label, drift = _label_moments(_labels(facts, split, LEARNED_FROM["new"]), config, start.base)
    return Plan(start, _pieces(facts, split), rows, _window(split.days), _trained_until(split.days), label, drift)


def _split(facts: Sequence[Facts], config: PreprocessConfig, base: Base | None, salt: str) -> _Split:
    if config.data.time is None:
        splitter = by_hash(base, config.preprocess, salt)
        return _Split([splitter(group) for group in facts], None)
    days = calendar(facts, config.preprocess, base)
    splitter = by_time(days, config.preprocess, salt)
    return _Split([splitter(group) for group in facts], days)


def _count(facts: Sequence[Facts], split: _Split) -> dict[str, int]:
    rows = {name: split.rows(*parts) for name, parts in PARTS.items()}
    unlabelled = sum(int(np.isnan(group.labels).sum()) for group in facts)
    untimed = 0
    if split.days is not None:
        untimed = sum(int((~np.isnan(group.labels) & (group.order == NO_DAY)).sum()) for group in facts)
    older = split.rows(LEFT_OUT) - unlabelled - untimed
    return {**rows, "replay": split.rows(REPLAY), "unlabelled": unlabelled, "untimed": untimed, "older": older}


def _check_parts(rows: dict[str, int], config: PreprocessConfig) -> None:
    unit = "days" if config.data.time else "share"
    wanted = config.preprocess.days if config.data.time else config.preprocess.shares
    if not rows["train"]:
        raise UserError(
            f"no labelled row is left to train on ({rows['unlabelled']} rows have no label); deliver more rows"
        )
    for part, size in zip(("validation", "heldout"), wanted):
        if size and not rows[part]:
            raise UserError(
                f"preprocess.{part}_{unit} is {size}, but no labelled row falls there; raise it or deliver more rows"
            )


def _labels(facts: Sequence[Facts], split: _Split, wanted: Sequence[int]) -> np.ndarray:
    return np.concatenate([group.labels[np.isin(parts, wanted)] for group, parts in zip(facts, split.parts)])


def _check_labels(labels: np.ndarray, data: Data) -> None:
    if (labels == labels[0]).all():
        only = float(labels[0]) if data.task == "regression" else data.label_classes[int(labels[0])]
        raise UserError(
            f"all {len(labels)} training rows have the label {only!r}, so there is nothing to learn; "
            f"check the column {data.label} or deliver rows with other labels"
        )


def _label_moments(new: np.ndarray, config: PreprocessConfig, base: Base | None) -> tuple[Moments, tuple[Drift, ...]]:
    if config.data.task != "regression":
        return Moments(0.0, 1.0, 0.0, 0.0), ()
    mean, std = float(new.mean(dtype=np.float64)), float(new.std(dtype=np.float64))
    if base is None:
        return Moments(mean, std, 0.0, 0.0), ()
    is_enough = len(new) >= FEWEST_VALUES
    return base.label, (of_moments(config.data.label, base.label, mean, std),) if is_enough else ()


def _pieces(facts: Sequence[Facts], split: _Split) -> dict[str, tuple[Piece, ...]]:
    return {
        name: tuple(
            Piece(group.path, group.group, rows)
            for group, parts in zip(facts, split.parts)
            if len(rows := np.flatnonzero(np.isin(parts, wanted)).astype(np.int32))
        )
        for name, wanted in (PARTS | LEARNED_FROM).items()
    }


def _window(days: Calendar | None) -> dict[str, str] | None:
    return None if days is None else {"from": _iso(days.train), "to": _iso(days.validation)}


def _trained_until(days: Calendar | None) -> int | None:
    return None if days is None else days.validation * DAY_S


def _iso(day: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(days=day)).isoformat()


def describe(plan: Plan) -> dict[str, Any]:
    """The keys of the step's record that the plan knows."""
    return {
        "start": plan.start.kind,
        "start_reason": plan.start.reason,
        "rows": plan.rows,
        "window": plan.window,
        "trained_until": plan.trained_until,
    }
