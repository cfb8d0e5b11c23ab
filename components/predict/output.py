"""Where predictions go: a folder, or a place in a bucket by way of a folder of this machine."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.storage.address import Address, is_local
from components.storage.fetched import scratch
from components.storage.open import open_storage


@contextlib.contextmanager
def brought(address: Address, first: Sequence[str], last: Sequence[str]) -> Iterator[Path]:
    """The folder of a job: itself, or one with what lies in the bucket, into which what is new is copied at the end.

    What is finished is copied however the block ends, so that another call need not do it again.

    Args:
        address: of the folder.
        first: files and folders without which the others mean nothing, copied before them.
        last: files that are written anew by each call, copied after the others.

    Raises:
        OSError: the bucket cannot be read or written.
    """
    if is_local(address):
        yield Path(address)
        return
    storage = open_storage(address)
    scratch().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch()) as temporary:
        folder = Path(temporary)
        storage.download("", folder)
        known = {path for path in folder.rglob("*") if path.is_file()}
        try:
            yield folder
        finally:
            for path in known:
                if path.name not in last:
                    path.unlink(missing_ok=True)
            for path in folder.glob(".*"):
                if path.is_file():  # the lock is of this machine
                    path.unlink()
            for path in (folder / name for name in first):
                if path.is_dir():
                    storage.upload(path, path.name)
                    shutil.rmtree(path)
                elif path.exists():
                    storage.write(path.name, path.read_bytes())
                    path.unlink()
            storage.upload(folder, "", [name for name in last if (folder / name).exists()])
