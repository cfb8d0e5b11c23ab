"""Which of an object store's checksums are taken for a proof.

The stores are stand-ins that answer as S3 and GCS document it; tests/ingest/test_s3.py asks a real S3 server.
"""

import base64
import copy
import hashlib
import io
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import xxhash
from fsspec.spec import AbstractBufferedFile

from components.digests.ahead import THREADS, ahead
from components.digests.remembered import Remembered

ROWS, OTHER = b"a,b\n1,2\n", b"a,b\n7,2\n"
CRC = base64.b64encode(b"12345678").decode()


@dataclass
class Bucket:
    """What fsspec's file systems answer for one object."""

    protocol: Any
    content: bytes = ROWS
    told: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    read: int = 0

    def info(self, path: str) -> dict[str, Any]:
        return {"name": path, "size": len(self.content), **self.told}

    def split_path(self, path: str) -> tuple[str, str, None]:
        bucket, _, key = path.partition("/")
        return bucket, key, None

    def call_s3(self, method: str, **arguments: Any) -> dict[str, Any]:
        assert method == "head_object" and arguments["ChecksumMode"] == "ENABLED"
        assert (arguments["Bucket"], arguments["Key"]) == ("bucket", "rows.csv")
        return {"ContentLength": len(self.content), "ETag": self.told["ETag"], **self.head}

    def open(self, path: str, mode: str, block_size: int) -> io.BytesIO:
        assert mode == "rb"
        self.read += 1
        return io.BytesIO(self.content)


def _twice(bucket: Bucket, memory: Path, path: str = "bucket/rows.csv") -> list[str]:
    """The digest in two runs."""
    digests = []
    for _ in range(2):
        with Remembered.kept_in(memory) as remembered:
            digests.append(remembered.of_object(bucket, path).digest)
    return digests


def _md5(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _md5_base64(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


MULTIPART = '"d41d8cd98f00b204e9800998ecf8427e-7"'
TRUSTED = {
    "single part": Bucket(("s3", "s3a"), told={"ETag": _md5(ROWS)}),
    "sha256": Bucket(
        "s3", told={"ETag": MULTIPART}, head={"ChecksumType": "FULL_OBJECT", "ChecksumSHA256": _sha256(ROWS)}
    ),
    "crc64": Bucket("s3", told={"ETag": MULTIPART}, head={"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": CRC}),
    "encrypted, with a checksum beside": Bucket(
        "s3",
        told={"ETag": f'"{"0" * 32}"'},
        head={"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": CRC},
    ),
    "gcs": Bucket(("gs", "gcs"), told={"md5Hash": _md5_base64(ROWS), "crc32c": "AAAAAA=="}),
}
DOUBTFUL = {
    "encrypted with a key of its own": Bucket("s3", told={"ETag": f'"{"0" * 32}"'}),
    "multipart": Bucket("s3", told={"ETag": MULTIPART}),
    "of parts' checksums": Bucket(
        "s3", told={"ETag": MULTIPART}, head={"ChecksumType": "COMPOSITE", "ChecksumSHA256": f"{_sha256(ROWS)}-7"}
    ),
    "only 32 bits": Bucket(
        "s3", told={"ETag": MULTIPART}, head={"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "AAAAAA=="}
    ),
    "wrong": Bucket(
        "s3", told={"ETag": MULTIPART}, head={"ChecksumType": "FULL_OBJECT", "ChecksumSHA256": _sha256(OTHER)}
    ),
    "composed on gcs": Bucket("gs", told={"crc32c": "AAAAAA=="}),
    "unknown store": Bucket("memory", told={"ETag": _md5(ROWS), "md5Hash": _md5_base64(ROWS)}),
}


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket of a kind, for one test alone."""
    return copy.deepcopy((TRUSTED | DOUBTFUL)[request.param])


@pytest.mark.parametrize("bucket", TRUSTED, indirect=True)
def test_an_object_with_a_checksum_of_its_bytes_is_read_once(bucket: Bucket, tmp_path: Path) -> None:
    assert _twice(bucket, tmp_path / "digests.json") == [xxhash.xxh3_128_hexdigest(ROWS)] * 2
    assert bucket.read == 1


@pytest.mark.parametrize("bucket", DOUBTFUL, indirect=True)
def test_anything_less_is_no_proof(bucket: Bucket, tmp_path: Path) -> None:
    assert _twice(bucket, tmp_path / "digests.json") == [xxhash.xxh3_128_hexdigest(ROWS)] * 2
    assert bucket.read == 2


def test_one_changed_byte_is_read(tmp_path: Path) -> None:
    bucket = Bucket("s3", told={"ETag": _md5(ROWS)})
    _twice(bucket, tmp_path / "digests.json")
    bucket.content, bucket.told = OTHER, {"ETag": _md5(OTHER)}
    assert _twice(bucket, tmp_path / "digests.json") == [xxhash.xxh3_128_hexdigest(OTHER)] * 2


def test_the_same_bytes_under_another_name_need_no_reading(tmp_path: Path) -> None:
    bucket = Bucket("s3", told={"ETag": _md5(ROWS)})
    _twice(bucket, tmp_path / "digests.json")
    _twice(bucket, tmp_path / "digests.json", "bucket/renamed.csv")
    assert bucket.read == 1


@pytest.mark.parametrize("bucket", ["crc64"], indirect=True)
def test_64_bits_are_too_few_to_know_bytes_by_under_another_name(bucket: Bucket, tmp_path: Path) -> None:
    with Remembered.kept_in(tmp_path / "digests.json") as remembered:
        remembered.of_object(bucket, "bucket/rows.csv")
        bucket.split_path = lambda path: ("bucket", "rows.csv", None)  # type: ignore[method-assign,assignment,return-value]
        remembered.of_object(bucket, "bucket/renamed.csv")
    assert bucket.read == 2


def test_an_object_replaced_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    class Replaced(Bucket):
        def open(self, path: str, mode: str, block_size: int) -> io.BytesIO:
            self.head = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": base64.b64encode(b"87654321").decode()}
            return super().open(path, mode, block_size)

    head = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": CRC}
    bucket = Replaced("s3", told={"ETag": MULTIPART}, head=head)
    _twice(bucket, tmp_path / "digests.json")
    assert bucket.read == 2


def test_a_store_is_not_asked_where_remembering_is_off() -> None:
    bucket = Bucket("s3", told={})
    with Remembered.kept_in(None) as remembered:
        assert [remembered.of_object(bucket, "bucket/rows.csv").is_read for _ in range(2)] == [True, True]


def test_objects_that_are_read_at_the_same_time_take_little_memory() -> None:
    class Large(Bucket):
        """Objects of 64 MiB, in s3fs's own blocks unless it is told otherwise."""

        def open(self, path: str, mode: str, block_size: int = 50 << 20) -> Any:
            return _Zeros(self, path, mode, block_size=block_size, size=64 << 20, cache_type="readahead")

    class _Zeros(AbstractBufferedFile):
        def _fetch_range(self, start: int, end: int) -> bytes:
            return bytes(end - start)

    remembered = Remembered(is_on=False)
    tracemalloc.start()
    try:
        read = list(ahead(lambda name: remembered.of_object(Large("s3"), name), map(str, range(THREADS))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {content.bytes for content in read} == {64 << 20}
    assert peak < THREADS * 16 << 20
