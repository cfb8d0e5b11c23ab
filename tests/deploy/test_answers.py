"""Which answers of a server are right."""

import json

import pytest

from components.artifacts import Question
from components.deploy.answers import WrongAnswerError, _judge


class Answer:
    """What urllib3 gives."""

    status = 200

    def __init__(self, prediction: object) -> None:
        self.headers = {"model-version": "2"}
        self.data = json.dumps({"predictions": [prediction]}).encode()


PROBABILITIES = Question("row 0", {}, [0.25, 0.75], "evaluate predicted")


@pytest.mark.parametrize("given", [[0.25, 0.75], [0.2505, 0.7495]])
def test_numbers_within_the_tolerance_are_right(given: object) -> None:
    assert _judge(PROBABILITIES, Answer(given), 2, 1e-3) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [[0.25, float("nan")], [float("nan"), 0.75], [0.25], [], 0.25, None, "0.25", [0.25, None], [0.25, 0.76]]
)
def test_all_else_is_wrong(given: object) -> None:
    with pytest.raises(WrongAnswerError, match="version 2 answers row 0 with"):
        _judge(PROBABILITIES, Answer(given), 2, 1e-3)  # type: ignore[arg-type]
