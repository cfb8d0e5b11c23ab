"""The keys of the one-node bucket (overlays/local), made at random where there are none yet; never in Git."""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from components.artifacts import atomic_folder
from components.errors import UserError
from components.storage.atomic import beside

LOCAL = Path(__file__).parent / "overlays" / "local"
BUCKET = "mlpipeline"
NAMES = ("s3.env", "serving-s3.env", "identities.json")
OWNER = [f"{action}:{BUCKET}" for action in ("Admin", "Read", "Write", "List", "Tagging")]
SERVER = [f"Read:{BUCKET}", f"List:{BUCKET}", f"Write:{BUCKET}/evergreen/requests/*"]


def make_secrets(folder: Path) -> Path | None:
    """Makes `secrets/` of the overlay, readable by its owner only, unless it is there.

    Writes `s3.env` and `serving-s3.env`, which kustomize puts into Secrets, and `identities.json`, which SeaweedFS
    reads: who has the first key may do everything with the bucket, who has the second may read, and log requests.

    Args:
        folder: the overlay's.

    Returns:
        the folder, where it was made.

    Raises:
        UserError: it is there and lacks a file.
    """
    place = folder / "secrets"
    if place.is_dir():
        for name in NAMES:
            if not (place / name).is_file():
                raise UserError(f"{place / name} is missing; add it, or remove {place} to have all keys made anew")
        return None
    owner, server = _key(), _key()
    identities = [_identity("evergreen", owner, OWNER), _identity("evergreen-serving", server, SERVER)]
    texts = (_env(owner), _env(server), json.dumps({"identities": identities}, indent=1) + "\n")
    with atomic_folder(place) as made:
        made.chmod(0o700)
        for name, text in zip(NAMES, texts):
            write_private(made / name, text)
    return place


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, from its first byte on; it is there whole or not at all."""
    written = beside(path)
    try:
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _key() -> tuple[str, str]:
    return secrets.token_hex(10).upper(), secrets.token_urlsafe(32)


def _identity(name: str, key: tuple[str, str], actions: Sequence[str]) -> dict[str, object]:
    credentials = [{"accessKey": key[0], "secretKey": key[1]}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


def _env(key: tuple[str, str]) -> str:
    return f"AWS_ACCESS_KEY_ID={key[0]}\nAWS_SECRET_ACCESS_KEY={key[1]}\n"
