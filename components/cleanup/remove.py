"""Deletes what was planned, in an order that leaves nothing reachable half gone when it is killed.

A folder of this machine is renamed first: whoever follows the old name finds all or nothing. On an object store the
files without which nobody looks for the rest go first, and those that tell cleanup whose the rest is go last.
"""

from components.cleanup.deletion import Deletion
from components.cleanup.survey import RUN, behind_link
from components.storage.folder import FolderStorage
from components.storage.storage import Storage

MANIFESTS = ("snapshot.json", "partition.json")


def remove(storage: Storage, deletion: Deletion) -> None:
    """Deletes one file, or one folder with all that lies in it; versions are the store's to delete.

    Raises:
        OSError: the storage refuses; or the path became a symbolic link, or was written to, since it was planned.
    """
    path = deletion.path
    if behind_link(storage, path):
        raise OSError(f"{storage.address(path)} is or lies behind a symbolic link now")
    if storage.exists(path):
        storage.delete([path])
        return
    entries = list(storage.entries(path))
    if any(entry.modified_s > deletion.newest_s for entry in entries):
        raise OSError(f"{storage.address(path)} was written to meanwhile")
    if not isinstance(storage, FolderStorage):
        storage.delete(entry.key for entry in entries if entry.key.rpartition("/")[2] in MANIFESTS)
        storage.delete(entry.key for entry in entries if entry.key != f"{path}/{RUN}")
    storage.remove(path)
