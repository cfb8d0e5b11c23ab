"""`images.lock`: where a cluster pulls each image from. Python's own library only, as `build_images` needs it.

JSON, which `make images PUSH=1` writes: each image's name, `evergreen-python-<name>:<hash>`, and its address with a
digest.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from components.errors import UserError
from components.orchestration.images import ROOT
from components.storage.atomic import write_bytes

LOCK = ROOT / "images.lock"
AGAIN = "run `make images PUSH=1 REGISTRY=…` again"


def chosen_lock(named: Path | None) -> Path | None:
    """The lock that is named, else `images.lock` beside pipeline.py, where there is one."""
    return LOCK if named is None and LOCK.exists() else named


def read_lock(path: Path) -> dict[str, str]:
    """Reads a lock.

    Raises:
        UserError: it cannot be read, or an address in it has no digest.
    """
    try:
        locked = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove that file, or {AGAIN}") from None
    addresses = list(locked.values()) if isinstance(locked, dict) else [locked]
    for address in addresses:
        if not isinstance(address, str) or "@sha256:" not in address:
            told = f"it holds {address!r}, but an address must end in @sha256:…"
            raise UserError(f"{path} cannot be read ({told}); remove that file, or {AGAIN}")
    return dict(locked)


def pinned(locked: Mapping[str, str], name: str, path: Path) -> str:
    """The address of an image.

    Args:
        locked: what the lock holds.
        name: of the image, with the hash of its content.
        path: the lock.

    Raises:
        UserError: it was not pushed as the code is now.
    """
    if name not in locked:
        raise UserError(
            f"{path} has no {name}, the image of the code as it is; {AGAIN}, or remove that file to go without digests"
        )
    return locked[name]


def write_lock(addresses: Mapping[str, str], path: Path) -> None:
    """Writes a lock atomically."""
    write_bytes(path, (json.dumps(addresses, indent=2, sort_keys=True) + "\n").encode())
