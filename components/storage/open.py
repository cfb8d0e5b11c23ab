"""Opens a storage by its address."""

import importlib
from pathlib import Path

from components.errors import UserError
from components.storage.address import Address, is_local
from components.storage.folder import FolderStorage
from components.storage.storage import Storage


def open_storage(root: Address) -> Storage:
    """A folder, which need not exist yet, or `s3://bucket/prefix`.

    Credentials, region and endpoint of S3 come from where boto3 and fsspec find them: `AWS_ACCESS_KEY_ID`,
    `AWS_ENDPOINT_URL`, `~/.aws`, the machine's role, `FSSPEC_S3_*`.

    Raises:
        UserError: it is an URL of another kind.
    """
    if is_local(root):
        return FolderStorage(Path(root))
    if not str(root).startswith("s3://"):
        raise UserError(f"{root} cannot be opened; give a folder or s3://bucket/prefix")
    # By name: importing it takes half a second, which those who work in a folder need not pay.
    try:
        bucket = importlib.import_module("components.storage.bucket")
    except ModuleNotFoundError:
        raise UserError(f"{root} cannot be opened here: S3's client is not installed; give a folder") from None
    opened: Storage = bucket.BucketStorage.open(str(root))
    return opened
