"""Asks a server what rehearse recorded, and compares its answers."""

import json
from collections.abc import Sequence
from typing import Any

import urllib3

from components.artifacts import Question
from components.errors import UserError

TIMEOUT = urllib3.Timeout(connect=5, read=30)
# A new connection for each question: so each may reach another pod.
HEADERS = {"content-type": "application/json", "connection": "close"}
VERSION_HEADER = "model-version"
SHOWN_CHARACTERS = 200


class WrongAnswerError(UserError):
    """The version itself answers otherwise than recorded: waiting does not help."""


def trouble(url: str, questions: Sequence[Question], version: int, tolerance: float) -> str | None:
    """What keeps a server from answering all questions rightly, where that may pass: it is asked again later.

    Args:
        url: `http://host/v1/models/<name>:predict`.
        questions: with the answers recorded.
        version: the number that the server must say has answered; a server that says none is believed when right.
        tolerance: largest difference of an answer x, as a share of max(1, |x|).

    Returns:
        half a sentence, or None where every answer is right.

    Raises:
        WrongAnswerError: an answer of the version is wrong.
    """
    with urllib3.PoolManager() as pool:
        for question in questions:
            body = json.dumps({"instances": [question.instance]}).encode()
            try:
                answer = pool.request("POST", url, body=body, headers=HEADERS, timeout=TIMEOUT, retries=False)
            except urllib3.exceptions.HTTPError as error:
                return f"{url} cannot be asked {question.name}: {' '.join(str(error).split())}"
            why = _judge(question, answer, version, tolerance)
            if why is not None:
                return f"{url} {why}"
    return None


def _judge(question: Question, answer: urllib3.BaseHTTPResponse, version: int, tolerance: float) -> str | None:
    if answer.status != 200:
        return f"answers {answer.status} to {question.name}: {_shown(answer)}"
    told = answer.headers.get(VERSION_HEADER)
    if told not in (None, str(version)):
        return f"answers with version {told[:SHOWN_CHARACTERS]} still"
    given = _prediction(answer.data)
    if given is not None and _agree(given, question.expected, tolerance):
        return None
    why = f"answers {question.name} with {_shown(answer)}, but {question.source} {question.expected}"
    if told is None:
        return why
    raise WrongAnswerError(f"version {version} {why}; deploy.inference_service.tolerance allows {tolerance:g}")


def _prediction(body: bytes) -> Any:
    try:
        (prediction,) = json.loads(body)["predictions"]
    except (ValueError, KeyError, TypeError):
        return None
    return prediction


def _agree(given: Any, expected: float | list[float], tolerance: float) -> bool:
    """Whether no number differs by more than the tolerance, as a share of max(1, |x|); NaN agrees with nothing."""
    if not isinstance(expected, list):
        is_number = isinstance(given, int | float)
        return is_number and abs(given - expected) <= tolerance * max(1.0, abs(expected))
    if not isinstance(given, list) or len(given) != len(expected):
        return False
    return all(_agree(one, other, tolerance) for one, other in zip(given, expected))


def _shown(answer: urllib3.BaseHTTPResponse) -> str:
    return " ".join(answer.data.decode(errors="replace")[:SHOWN_CHARACTERS].split())
