"""Addresses: where something lies, as a path of this machine or as an URL such as `s3://bucket/prefix`."""

from pathlib import Path, PurePosixPath
from typing import overload

Address = Path | str


def is_local(address: Address) -> bool:
    """Whether an address is a path of this machine."""
    return isinstance(address, Path) or "://" not in address


@overload
def joined(address: Path, key: str) -> Path: ...


@overload
def joined(address: Address, key: str) -> Address: ...


def joined(address: Address, key: str) -> Address:
    """What lies below an address: a path below a path, an URL below an URL."""
    return Path(address) / key if is_local(address) else f"{str(address).rstrip('/')}/{key}"


def name_of(address: Address) -> str:
    """The last part of an address."""
    return PurePosixPath(str(address)).name


@overload
def parent_of(address: Path) -> Path: ...


@overload
def parent_of(address: Address) -> Address: ...


def parent_of(address: Address) -> Address:
    """What an address lies in."""
    return Path(address).parent if is_local(address) else str(address).rstrip("/").rpartition("/")[0]
