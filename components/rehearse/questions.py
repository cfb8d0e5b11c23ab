"""What the server is asked, and what it must answer."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components import artifacts
from components.artifacts import Question
from components.errors import UserError
from components.features.arrow import dense
from components.features.instances import fitting, to_instances
from components.features.rows import from_rows
from components.predictor.predictor import Predictor
from components.rehearse.replay import post
from components.storage.address import Address

HANDED_ON = 256
HANDED_ON_BYTES = 4 << 20


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


def recorded(work: Address, name: str, predictor: Predictor, most: int) -> tuple[list[Question], list[str]]:
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


def handed_on(logged: Sequence[Question], rows: Sequence[Question]) -> list[Question]:
    """Those that the version carries, so that whoever puts it into service can ask them: few, and of both kinds.

    Args:
        logged: recorded requests, the newest last.
        rows: held-out rows.

    Returns:
        256 at most, half of them recorded requests where there are so many, and 4 MiB at most; none without a finite
        answer, which JSON cannot hold and no server can give.
    """
    newest = logged[-HANDED_ON // 2 :]
    chosen = [
        question for question in [*newest, *rows[: HANDED_ON - len(newest)]] if np.isfinite(question.expected).all()
    ]
    sizes = itertools.accumulate(len(json.dumps(question.instance)) for question in chosen)
    return [question for question, size in zip(chosen, sizes) if size <= HANDED_ON_BYTES]


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
