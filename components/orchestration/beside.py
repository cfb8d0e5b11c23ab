"""The folder of this machine beside a work directory in a bucket: copies, and what KFP's local runner writes."""

from pathlib import Path

from components.errors import UserError
from components.orchestration.draw import DEFAULT_WORK
from components.storage.address import Address, is_local, joined
from components.storage.folder import FolderStorage
from components.storage.open import open_storage

BUCKETS = "buckets"


def work_address(text: str) -> Address:
    """What `--work` names: an absolute path, or an URL without a slash at its end.

    Raises:
        UserError: it is an URL of another kind than `s3://bucket/prefix`.
    """
    if is_local(text):
        return Path(text).absolute()
    open_storage(text)
    return text.rstrip("/")


def beside(work: Address) -> Path:
    """The folder beside a work directory; a folder of this machine needs no other.

    Raises:
        UserError: the URL cannot be the name of a folder.
    """
    if is_local(work):
        return Path(work)
    root = FolderStorage(Path(DEFAULT_WORK).absolute() / BUCKETS)
    try:
        return root.path(str(work).partition("://")[2])
    except ValueError:
        raise UserError(f"the work directory {work} has .. in its path; choose another") from None


def send_missing(folder: Path, work: Address, key: str) -> None:
    """Copies the files of a folder below a work directory to the bucket, those that it has not so new in that size.

    Args:
        folder: of this machine.
        work: the bucket.
        key: of the folder there.

    Raises:
        OSError: the bucket cannot be read or written.
    """
    storage = open_storage(joined(work, key))
    there = {entry.key: entry for entry in storage.entries()}
    for entry in FolderStorage(folder).entries():
        known = there.get(entry.key)
        if known is None or known.bytes != entry.bytes or known.modified_s + 1 < entry.modified_s:  # S3's are whole
            storage.write(entry.key, (folder / entry.key).read_bytes())
