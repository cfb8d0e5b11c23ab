"""What an answer of a Kubernetes API server that is an error means: it passes, or here is the sentence."""

import json
from typing import Any

from kubernetes.client.exceptions import ApiException

from components.errors import UserError


def passes(error: Exception) -> bool:
    """Whether an error may be gone the next time: the connection broke, or the server is away or busy."""
    return not isinstance(error, ApiException) or error.status == 429 or error.status >= 500


def refused(doing: str, error: ApiException) -> UserError:
    """The sentence for an error that stays, met when this pod wanted to do something."""
    why = message(error)
    if error.status == 403 and "exceeded quota" in why:
        return UserError(f"this pod cannot {doing}, for a quota is used up ({why}); raise it or ask for less")
    if error.status in (401, 403):
        return UserError(f"this pod may not {doing} ({why}); bind a role that allows it to its service account")
    return UserError(f"this pod cannot {doing}, for Kubernetes refuses it ({why}); mend what it names")


def message(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, ApiException):
        return str(status(error).get("message") or f"{error.status} {error.reason}")
    return " ".join(str(error).split())


def status(error: ApiException) -> dict[str, Any]:
    """The API server's `Status` object; empty where something in between answered."""
    try:
        found = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
