"""The cluster of training processes that TF_CONFIG describes, without TensorFlow, which takes seconds to import."""

import json
import os
from collections.abc import Mapping
from typing import Any

from components.errors import UserError

TF_CONFIG = "TF_CONFIG"


def cluster() -> Mapping[str, Any]:
    """What TF_CONFIG says; empty where there is no cluster.

    Raises:
        UserError: it is not what TensorFlow expects.
    """
    text = os.environ.get(TF_CONFIG, "")
    try:
        found = json.loads(text) if text else {}
        if found:
            found["cluster"][found["task"]["type"]][found["task"]["index"]]
    except (ValueError, KeyError, TypeError, IndexError):
        raise UserError(f'TF_CONFIG is {text[:200]}; it must be {{"cluster": {{…}}, "task": {{…}}}}') from None
    return found


def serves_a_coordinator() -> bool:
    """Whether this process only does what the coordinator of parameter servers asks."""
    found = cluster()
    return bool(found) and "ps" in found["cluster"] and found["task"]["type"] in ("worker", "ps")
