"""What the server is asked, and what it must answer."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components import artifacts
from components.errors import UserError
from components.features.arrow import dense
from components.features.instances import fitting, to_instances
from components.features.rows import from_rows
from components.predictor.predictor import Predictor
from components.rehearse.replay import post


@dataclass(frozen=True)
class Question:
    """One instance with the answer that it must get."""

    name: str
    """What it is called in a sentence."""
    instance: Mapping[str, Any]
    expected: float | list[float]
    source: str
    """Who says so, in half a sentence."""


def messages(groups: Sequence[Sequence[Question]], url: str) -> list[bytes]:
    """A request for each group of questions, in the V1 protocol.

    Args:
        groups: the instances of each request.
        url: `http://host:port/v1/models/<name>:predict`.
    """
    bodies = ({"instances": [question.instance for question in group]} for group in groups)
    return [post(url, json.dumps(body).encode()) for body in bodies]


def held_out(chosen: Path, examples: Path, predictor: Predictor, most: int) -> list[Question]:
    """The first held-out rows, and what evaluate predicted of them.

    Args:
        chosen: holds `heldout_predictions.npy`.
        examples: holds `heldout.parquet`.
        predictor: tells which columns are read, and of what type they are.
        most: rows at most.

    Raises:
        UserError: the predictions are missing or damaged.
    """
    expected = _read_predictions(chosen / artifacts.HELDOUT_PREDICTIONS)[:most]
    data, names = predictor.transform.data, predictor.source_columns
    path = examples / artifacts.HELDOUT
    rows = next(pq.ParquetFile(path).iter_batches(max(len(expected), 1), columns=list(names)))
    if len(rows) != len(expected):
        raise UserError(f"{chosen / artifacts.HELDOUT_PREDICTIONS} is not of the rows of {path}; run evaluate again")
    return _questions("held-out row", to_instances(dense(rows, data, names), data), expected, "evaluate predicted")


def recorded(work: Path, name: str, predictor: Predictor, most: int) -> tuple[list[Question], list[str]]:
    """The newest requests that the server logged, and what the artifact itself predicts of them.

    Args:
        work: the work directory.
        name: the model's name.
        predictor: of the new model.
        most: instances at most.

    Returns:
        the questions, and the reasons why the other instances cannot be asked again: they no longer fit the model's
        columns, or are so extreme that the model has no finite answer. Neither tells anything about the server, and
        what one client asked must not keep every model from service.
    """
    logged = artifacts.read_requests(artifacts.request_log(work, name), most)
    data, names = predictor.transform.data, predictor.source_columns
    instances, misfits = fitting([line["instance"] for line in logged], data, names)
    expected = predictor.predict(from_rows(instances, data, names))
    finite = np.isfinite(expected).all(axis=tuple(range(1, expected.ndim)))
    misfits += ["the model has no finite answer"] * int((~finite).sum())
    kept = list(itertools.compress(instances, finite))
    return _questions("recorded request", kept, expected[finite], "the artifact itself predicts"), misfits


def _questions(noun: str, instances: Sequence[Mapping[str, Any]], expected: np.ndarray, source: str) -> list[Question]:
    pairs = enumerate(zip(instances, expected.tolist()))
    return [Question(f"{noun} {index}", instance, answer, source) for index, (instance, answer) in pairs]


def _read_predictions(path: Path) -> np.ndarray:
    if not path.exists():
        raise UserError(f"{path} is missing; run evaluate again")
    try:
        predictions: np.ndarray = np.load(path)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged ({error}); run evaluate again") from None
    return predictions
