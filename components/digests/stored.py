"""What an object store itself knows of an object's bytes.

A store's checksum names the same bytes wherever they lie and whenever they were written, so that a digest can be
remembered by it. It is taken for that only where it is a checksum of all the bytes, as told by

- S3: the ETag of an object that was uploaded in one part and is not encrypted by a key of its own, its MD5; else the
  SHA-256 or CRC64NVME that S3 keeps of the whole object, not one composed of its parts' checksums
  (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html);
- GCS: `md5Hash`, which objects composed of parts lack
  (https://cloud.google.com/storage/docs/metadata#checksums).

The ETag of a multipart or encrypted upload, and what other stores tell, is no proof: then the bytes are read.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from components.digests.content import Hash

S3, GCS = "s3", "gs"
MD5, SHA256, CRC64NVME = "md5", "sha256", "crc64nvme"


class Stored(NamedTuple):
    """A checksum that a store keeps of an object."""

    algorithm: str
    hex: str
    bytes: int
    etag: str
    """S3's ETag, quotes removed; empty for other stores."""

    def key(self, path: str) -> str:
        """The name under which the digest of the object is remembered.

        MD5 and SHA-256 are long enough to name bytes by themselves; 64 bits name only one state of one object.
        """
        where = f":{self.etag}:{path}" if self.algorithm == CRC64NVME else ""
        return f"{self.algorithm}:{self.hex}:{self.bytes}{where}"

    def hash(self) -> Hash | None:
        """What proves the checksum when it is fed the object's bytes; None where Python has no such hash."""
        return None if self.algorithm == CRC64NVME else hashlib.new(self.algorithm, usedforsecurity=False)


def stored(filesystem: Any, path: str) -> Iterator[Stored]:
    """The checksums that a store tells of an object and that may be a proof, those first that cost no request.

    Args:
        filesystem: fsspec's.
        path: the object's path there.

    Raises:
        OSError: the object is not there or the store cannot be reached.
    """
    protocols = (filesystem.protocol,) if isinstance(filesystem.protocol, str) else tuple(filesystem.protocol)
    if S3 in protocols:
        yield from _of_s3(filesystem, path)
    if GCS in protocols:
        yield from _of_gcs(filesystem.info(path))


def _of_s3(filesystem: Any, path: str) -> Iterator[Stored]:
    info = filesystem.info(path)
    etag = _etag(info)
    if re.fullmatch("[0-9a-f]{32}", etag):  # of encrypted objects too, and then no MD5: the bytes will tell
        yield Stored(MD5, etag, int(info["size"]), etag)
    bucket, key, version = filesystem.split_path(path)
    of_version = {"VersionId": version} if version else {}
    head = filesystem.call_s3("head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED", **of_version)
    if head.get("ChecksumType") == "FULL_OBJECT":
        for algorithm, name in ((SHA256, "ChecksumSHA256"), (CRC64NVME, "ChecksumCRC64NVME")):
            if found := _hex(head.get(name)):
                yield Stored(algorithm, found, int(head["ContentLength"]), _etag(head))


def _etag(told: Mapping[str, Any]) -> str:
    return str(told.get("ETag", "")).strip('"')


def _of_gcs(info: Mapping[str, Any]) -> Iterator[Stored]:
    if found := _hex(info.get("md5Hash")):
        yield Stored(MD5, found, int(info["size"]), "")


def _hex(base64_text: Any) -> str:
    try:
        return base64.b64decode(base64_text or "", validate=True).hex()
    except (binascii.Error, TypeError):
        return ""
