"""A source in a bucket of a real S3 server: when its bytes are read, and when the server's word is enough."""

import pytest
import s3fs

from components.digests import stored as stored_module
from components.digests.stored import MD5, stored
from tests.ingest.place import Place, csv_text

ROWS, OTHER = (csv_text({"id": "a", "price": price}).encode() for price in ("1.5", "2.5"))


@pytest.fixture
def bucket(s3_root: str) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(use_listings_cache=False)


@pytest.fixture
def pattern(s3_root: str) -> str:
    return f"{s3_root}/flights/*.csv"


def _bytes_read(place: Place, pattern: str, **options: bool) -> int:
    place.ingest(pattern, **options)
    return place.details()["bytes_read"]


def test_an_object_is_read_once_and_then_known_by_its_checksum(
    place: Place, s3_root: str, pattern: str, bucket: s3fs.S3FileSystem
) -> None:
    bucket.pipe(f"{s3_root}/flights/a.csv", ROWS)
    assert [_bytes_read(place, pattern) for _ in range(2)] == [len(ROWS), 0]
    bucket.mv(f"{s3_root}/flights/a.csv", f"{s3_root}/flights/renamed.csv")
    assert _bytes_read(place, pattern) == 0
    assert place.details()["new_partitions"] == 0
    assert _bytes_read(place, pattern, remember_digests=False) == len(ROWS)


def test_one_changed_byte_is_new_and_the_same_bytes_on_this_machine_are_not(
    place: Place, s3_root: str, pattern: str, bucket: s3fs.S3FileSystem
) -> None:
    bucket.pipe(f"{s3_root}/flights/a.csv", ROWS)
    first = place.ingest(pattern)
    bucket.pipe(f"{s3_root}/flights/a.csv", OTHER)
    second = place.ingest(pattern)
    assert len(OTHER) == len(ROWS) and place.details()["new_partitions"] == 1
    assert second.digest != first.digest
    place.put("a.csv", ROWS)
    assert place.ingest("*.csv").digest == first.digest


def test_the_checksum_of_an_object_in_parts_is_not_taken_for_that_of_its_bytes(
    place: Place, s3_root: str, pattern: str, bucket: s3fs.S3FileSystem
) -> None:
    name = f"{s3_root}/flights/a.csv"
    where = dict(zip(("Bucket", "Key"), bucket.split_path(name)[:2], strict=True))
    upload = {**where, "UploadId": bucket.call_s3("create_multipart_upload", **where)["UploadId"]}
    part = bucket.call_s3("upload_part", **upload, PartNumber=1, Body=ROWS)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    bucket.call_s3("complete_multipart_upload", **upload, MultipartUpload=parts)
    assert "-1" in bucket.info(name)["ETag"]
    assert MD5 not in [checksum.algorithm for checksum in stored(bucket, name)]
    remote = [place.ingest(pattern).digest for _ in range(2)]
    place.put("a.csv", ROWS)
    assert remote == [place.ingest("*.csv").digest] * 2


def test_a_server_whose_etag_is_no_checksum_costs_only_reading(
    place: Place, s3_root: str, pattern: str, bucket: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with objects that are encrypted by a key of their own."""
    monkeypatch.setattr(stored_module, "_etag", lambda told: "0" * 32)
    bucket.pipe(f"{s3_root}/flights/a.csv", ROWS)
    assert [_bytes_read(place, pattern) for _ in range(2)] == [len(ROWS)] * 2
