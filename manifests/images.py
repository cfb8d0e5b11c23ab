"""The images in rendered manifests, pinned to what `make images` made of the code as it is."""

from pathlib import Path
from typing import Any

from components.orchestration.images import image
from components.orchestration.lock import pinned, read_lock

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
    locked = {} if lock is None else read_lock(lock)
    for container in (one for found in objects for one in _containers(found)):
        if container["image"].startswith(PREFIX) and ":" not in container["image"]:
            name = image(container["image"].removeprefix(PREFIX))
            container["image"] = pinned(locked, name, lock) if lock is not None else f"{registry}/{name}".lstrip("/")


def _containers(node: Any) -> list[dict[str, Any]]:
    """Everything in an object that names an image."""
    if isinstance(node, list):
        return [one for item in node for one in _containers(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if isinstance(node.get("image"), str) else []
    return own + [one for item in node.values() for one in _containers(item)]
