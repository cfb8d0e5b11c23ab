"""Whether an S3 server honours conditional writes: found out once, and remembered in the bucket, for all to agree."""

import json
import uuid
from collections.abc import Callable

from components.storage.refusal import status
from components.storage.storage import Storage

CONDITIONAL = ".conditional-writes.json"
UNKNOWN = (400, 501)
"""How servers answer that do not know conditional writes and say so."""


def remembered(storage: Storage) -> bool | None:
    """What was found out; None where nobody has asked yet, so that nothing was swapped either."""
    try:
        return bool(json.loads(storage.read(CONDITIONAL))["conditional"])
    except FileNotFoundError:
        return None


def find_out(storage: Storage, put_if: Callable[[str, bytes, str | None], bool]) -> bool:
    """Asks the server, and remembers its answer.

    Args:
        storage: the bucket.
        put_if: a conditional write of it, as `Storage.swap` takes its arguments.
    """
    found = _probe(storage, put_if)
    storage.write(CONDITIONAL, json.dumps({"conditional": found}).encode())
    return found


def _probe(storage: Storage, put_if: Callable[[str, bytes, str | None], bool]) -> bool:
    """Whether the server refuses what a conditional write must refuse."""
    key = f".probe.{uuid.uuid4().hex}.tmp"
    try:
        made = put_if(key, b"1", None)
        return made and not put_if(key, b"2", None) and not put_if(key, b"3", '"0"')
    except OSError as error:
        if status(error) in UNKNOWN:
            return False
        raise
    finally:
        storage.delete([key])
