"""Predictions of several predictors on the same held-out rows, read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import UserError
from components.features.arrow import dense
from components.features.columns import Data, RawBatch
from components.features.labels import label_numbers
from components.predictor.predictor import Predictor

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Scores:
    """The labelled held-out rows: what was true, what each predictor says, and the columns to slice by."""

    labels: np.ndarray
    """(rows,) int64 class indexes, or float64 numbers for regression."""
    predictions: list[np.ndarray]
    """For each predictor, what `Predictor.predict` gives for all rows."""
    slices: dict[str, np.ndarray]
    """Column → (rows,) Python values, None where missing."""
    unlabelled: int = 0
    """Held-out rows left out because they have no label."""


def score(predictors: Sequence[Predictor], heldout: Path, data: Data, slices: tuple[str, ...]) -> Scores:
    """Scores every predictor on the rows that have a label.

    Rows are read in pieces of 4,096, fewer with images, so that memory holds the predictions of all rows but the
    columns of one piece. Variants of one model carry equal transforms; each distinct one is computed once.

    Args:
        predictors: read declared columns only.
        heldout: Parquet file of raw rows in canonical Arrow types.
        data: declares them.
        slices: columns to keep.

    Raises:
        UserError: there is no row with a label, a label that is no class, or one class only.
    """
    needed = {data.label, *slices, *(name for predictor in predictors for name in predictor.source_columns)}
    file = pq.ParquetFile(heldout)
    first_alike = [next(i for i, p in enumerate(predictors) if p.transform == other.transform) for other in predictors]
    pieces = [
        _score_piece(predictors, first_alike, piece, data, slices)
        for piece in file.iter_batches(data.rows_at_once(ROWS_AT_ONCE), columns=sorted(needed))
    ]
    labelled = sum(len(piece.labels) for piece in pieces)
    if not labelled:
        raise UserError(f"{heldout} has no row with a label, so no model can be judged; {_more_rows(data)}")
    scores = _joined(pieces, file.metadata.num_rows - labelled)
    _check_classes(scores.labels, data, heldout)
    return scores


def first_rows(heldout: Path, data: Data, names: tuple[str, ...], count: int) -> RawBatch:
    """The first rows in their dense form, at most `count`, labelled or not."""
    batches = pq.ParquetFile(heldout).iter_batches(count, columns=list(names))
    return dense(next(batches), data, names)


def _score_piece(
    predictors: Sequence[Predictor],
    first_alike: Sequence[int],
    piece: pa.RecordBatch,
    data: Data,
    slices: tuple[str, ...],
) -> Scores:
    labelled = piece.filter(pc.is_valid(piece.column(data.label)))
    transformed: dict[int, tuple[np.ndarray, ...]] = {}
    for first in set(first_alike):
        predictor = predictors[first]
        transformed[first] = predictor.transform(dense(labelled, data, predictor.source_columns))
    predictions = [
        predictor.predict_transformed(*transformed[first]) for predictor, first in zip(predictors, first_alike)
    ]
    kept = {name: np.array(labelled.column(name).to_pylist(), dtype=object) for name in slices}
    return Scores(_labels(labelled.column(data.label), data), predictions, kept)


def _joined(pieces: list[Scores], unlabelled: int) -> Scores:
    return Scores(
        np.concatenate([piece.labels for piece in pieces]),
        [np.concatenate(parts) for parts in zip(*(piece.predictions for piece in pieces))],
        {name: np.concatenate([piece.slices[name] for piece in pieces]) for name in pieces[0].slices},
        unlabelled,
    )


def _labels(values: pa.Array, data: Data) -> np.ndarray:
    if data.task == "regression":
        return np.asarray(values.cast(pa.float64()))
    return label_numbers(pa.chunked_array([values]), data).astype(np.int64)


def _check_classes(labels: np.ndarray, data: Data, heldout: Path) -> None:
    if data.task == "regression":
        return
    present = np.unique(labels)
    if len(present) == 1:
        only: Any = data.label_classes[int(present[0])]
        raise UserError(
            f"all {len(labels)} rows of {heldout} have the label {only!r}, so no model can be judged; "
            f"check the column {data.label}, or {_more_rows(data)}"
        )


def _more_rows(data: Data) -> str:
    key = "preprocess.heldout_days" if data.time else "preprocess.heldout_share"
    return f"raise {key} or deliver more rows"
