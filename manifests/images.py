"""The images in rendered manifests, pinned to what `make images` made of the code as it is."""

import json
from pathlib import Path
from typing import Any

from components.errors import UserError
from components.orchestration.images import image

PREFIX = "evergreen-python-"


def pin(objects: list[dict[str, Any]], lock: Path | None, registry: str) -> None:
    """Replaces the names of our images, as they stand in the manifests, without a tag.

    Args:
        objects: as kustomize renders them; changed in place. An image that an overlay has named otherwise stays.
        lock: `images.lock`: names with the hash of their content, and addresses with a digest; None: no digests.
        registry: registry and path that images have without a lock; empty: none.

    Raises:
        UserError: the lock cannot be read, or lacks an image of this very code.
    """
    addresses = None if lock is None else _read(lock)
    for container in (one for found in objects for one in _containers(found)):
        if container["image"].startswith(PREFIX) and ":" not in container["image"]:
            name = image(container["image"].removeprefix(PREFIX))
            if addresses is not None and name not in addresses:
                raise UserError(
                    f"{lock} has no {name}, the image of the code as it is; run `make images PUSH=1 REGISTRY=…` again, "
                    "or remove that file to go without digests"
                )
            container["image"] = addresses[name] if addresses else f"{registry}/{name}".lstrip("/")


def _containers(node: Any) -> list[dict[str, Any]]:
    """Everything in an object that names an image."""
    if isinstance(node, list):
        return [one for item in node for one in _containers(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if isinstance(node.get("image"), str) else []
    return own + [one for item in node.values() for one in _containers(item)]


def _read(lock: Path) -> dict[str, str]:
    try:
        addresses = json.loads(lock.read_text(encoding="utf-8"))
        return {str(name): str(address) for name, address in addresses.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{lock} cannot be read ({error}); run `make images PUSH=1 REGISTRY=…` again") from None
