"""Versions on this machine: those in a folder as they are, those in a bucket as copies that are known to be whole."""

from pathlib import Path

import xxhash

from components.errors import UserError
from components.storage.address import Address, is_local, name_of
from components.storage.atomic import atomic_folder
from components.storage.fetched import copy_path, scratch, used
from components.storage.folder import FolderStorage
from components.storage.open import open_storage
from components.store.version import CHECKSUMS, Version, number_of, verify

EMPTY = "empty"
"""The folder of a work directory that stands for "no model yet"."""
DIGITS = 16


def download(version: Version, folder: Path) -> Version:
    """Copies a version to a folder, which appears whole; one that is there already is taken.

    Returns:
        the copy.

    Raises:
        UserError: the version is damaged, or what is in the folder is.
    """
    copy = Version(version.number, folder)
    if (folder / CHECKSUMS).exists():
        verify(copy)
        return copy
    try:
        with atomic_folder(folder) as beside:
            open_storage(version.location).download("", beside)
            verify(Version(version.number, beside), origin=version)
    except OSError:
        if not (folder / CHECKSUMS).exists():  # else another process made the same copy meanwhile
            raise
    return copy


def on_disk(address: Address) -> Path:
    """A version's folder on this machine: itself, or a copy that is known by the version's checksums.

    Args:
        address: of a version, or of the folder that stands for none, which gives an empty one.

    Raises:
        UserError: the version is gone, or damaged.
    """
    if is_local(address):
        return Path(address)
    number = number_of(name_of(address))
    if number is None:
        return _empty()
    version = Version(number, str(address))
    # A store may be deleted and filled anew, so that the address is no proof of what lies there.
    copy = copy_path(str(address)).with_name(f"{number}-{checksums_digest(version)[:DIGITS]}")
    try:
        download(version, copy)
    except UserError:
        if not copy.exists():
            raise
        FolderStorage(copy.parent).remove(copy.name)  # the copy is damaged, not the version
        download(version, copy)
    used(copy)
    return copy


def checksums_digest(version: Version) -> str:
    """The digest of a version's content.

    Raises:
        UserError: the version is gone.
    """
    try:
        return xxhash.xxh3_128_hexdigest(version.read(CHECKSUMS))
    except FileNotFoundError:
        raise UserError(f"{version.location} is not there any more; run again") from None


def _empty() -> Path:
    folder = scratch() / EMPTY
    folder.mkdir(parents=True, exist_ok=True)
    return folder
