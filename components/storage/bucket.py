"""A storage in an S3 bucket, through s3fs.

Files are created exclusively and swapped by conditional writes (`If-None-Match`, `If-Match`) where the server honours
them; `numbered.py` does without. Which of the two holds is found out before the first such write (`conditional.py`).
"""

import contextlib
import functools
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import s3fs
from fsspec.asyn import sync

from components.errors import UserError
from components.storage.atomic import beside
from components.storage.conditional import find_out, remembered
from components.storage.folder import FolderStorage
from components.storage.numbered import NumberedCells
from components.storage.refusal import status, told
from components.storage.storage import PIECE_BYTES, Cell, Entry, Upload, below

BATCH = 1000
"""Keys that S3 deletes, and lists, by one request at most."""
AT_ONCE = 8
NOT_FOUND, CONFLICT, NOT_MET = 404, 409, 412
CONNECT_S = 10
"""boto waits a minute for a server that does not answer, and tries many times."""
CONFLICTS, CONFLICT_WAIT_S = 100, 0.05


class BucketStorage:
    """See `Storage`. The bucket must exist."""

    def __init__(self, filesystem: s3fs.S3FileSystem, bucket: str, prefix: str) -> None:
        self._s3 = filesystem
        self._bucket = bucket
        self._prefix = below(prefix)
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._conditional: bool | None = None

    @classmethod
    def open(cls, url: str) -> "BucketStorage":
        """Opens `s3://bucket/prefix`; asks the server nothing yet.

        Raises:
            UserError: the URL names no bucket.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise UserError(f"{url} names no bucket; write s3://bucket/prefix")
        settings = {"connect_timeout": CONNECT_S, **fsspec.config.conf.get("s3", {}).get("config_kwargs", {})}
        filesystem = s3fs.S3FileSystem(use_listings_cache=False, config_kwargs=settings)
        return cls(filesystem, bucket, prefix.strip("/"))

    def address(self, key: str) -> str:
        """The object's URL."""
        return f"{self.url}/{key}"

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, a page of 1,000 at a time; see `Storage`."""
        for page in self._pages(prefix):
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # what some tools write to show a folder
                    yield Entry(self._key(item["Key"]), item["Size"], item["LastModified"].timestamp())

    def names(self, prefix: str = "") -> list[str]:
        """The names directly below a prefix; see `Storage`."""
        start = self._prefix + below(prefix)
        found: set[str] = set()
        for page in self._pages(prefix, Delimiter="/"):
            found |= {item["Prefix"][len(start) :].rstrip("/") for item in page.get("CommonPrefixes", ())}
            found |= {item["Key"][len(start) :] for item in page.get("Contents", ())}
        return sorted(found - {""})

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self._call("head_object", key)
        except FileNotFoundError:
            return False
        return True

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return self._get(key).content

    def stream(self, key: str) -> Iterator[bytes]:
        """An object's bytes in pieces, asked for one after the other."""
        size = int(self._call("head_object", key)["ContentLength"])
        for start in range(0, size, PIECE_BYTES * AT_ONCE):
            with told(self.address(key)):
                end = min(start + PIECE_BYTES * AT_ONCE, size)
                part = self._s3.cat_file(self._remote(key), start=start, end=end)
            yield from (part[place : place + PIECE_BYTES] for place in range(0, len(part), PIECE_BYTES))

    def write(self, key: str, content: bytes) -> None:
        """One request, which S3 does whole or not at all."""
        self._call("put_object", key, Body=content)

    def create(self, key: str, content: bytes) -> bool:
        """By `If-None-Match: *`, or as a numbered file."""
        return self.swap(key, content, None)

    def cell(self, key: str) -> Cell | None:
        """What an object holds; its tag is its ETag."""
        if self._is_numbered():
            return self._numbered.cell(key)
        try:
            return self._get(key)
        except FileNotFoundError:
            return None

    def swap(self, key: str, content: bytes, expected: str | None) -> bool:
        """By `If-Match` or `If-None-Match: *`, or as a numbered file."""
        if self._is_numbered(ask=True):
            return self._numbered.swap(key, content, expected)
        return self._put_if(key, content, expected)

    def forget(self, key: str) -> None:
        """Deletes the object, or the numbered files."""
        self.delete(self._numbered.keys(key) if self._is_numbered() else [key])

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes 1,000 objects a request."""
        waiting = iter(keys)
        while batch := list(islice(waiting, BATCH)):
            objects = [{"Key": self._prefix + key} for key in batch]
            answer = self._call("delete_objects", "", Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise PermissionError(f"s3://{self._bucket}/{error['Key']} cannot be deleted: {error.get('Message')}")

    def remove(self, prefix: str, first: Sequence[str] = ()) -> None:
        """Deletes the objects below a prefix; a call that was killed is repeated."""
        if not prefix:
            raise ValueError("the whole storage is not deleted at once")
        self.delete(first)
        self.delete(entry.key for entry in self.entries(prefix))

    def upload(self, folder: Path, prefix: str, last: Sequence[str] = ()) -> None:
        """Copies files to the bucket, several at once, large ones in parts."""
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with told(self.address(prefix)), ThreadPoolExecutor(AT_ONCE) as pool:
            others = [name for name in names if name not in last]
            list(pool.map(lambda name: self._put(folder / name, below(prefix) + name), others))
            for name in last:
                self._put(folder / name, below(prefix) + name)

    def _put(self, path: Path, key: str) -> None:
        self._s3.put_file(str(path), self._remote(key))

    @contextlib.contextmanager
    def filling(self, prefix: str, last: Sequence[str] = ()) -> Iterator[Path]:
        """A temporary folder, which is uploaded."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            self.upload(Path(folder), prefix, last)

    def fetch(self, key: str, path: Path) -> None:
        """Copies an object beside, then renames; a large one is asked for in parts."""
        written = beside(path)
        try:
            with told(self.address(key)):
                self._s3.get_file(self._remote(key), str(written))
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)

    def download(self, prefix: str, folder: Path) -> None:
        """Copies objects to a folder, several at once, large ones in parts."""
        keys = [entry.key for entry in self.entries(prefix)]
        files = [FolderStorage(folder).path(key[len(below(prefix)) :]) for key in keys]
        for parent in {folder, *(path.parent for path in files)}:
            parent.mkdir(parents=True, exist_ok=True)
        with told(self.address(prefix)), ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda path, key: self._s3.get_file(self._remote(key), str(path)), files, keys))

    def uploads(self, prefix: str = "") -> Iterator[Upload]:
        """The unfinished multipart uploads below a prefix."""
        marks: dict[str, Any] = {}
        while True:
            page = self._call("list_multipart_uploads", "", Prefix=self._prefix + below(prefix), **marks)
            for item in page.get("Uploads", ()):
                yield Upload(self._key(item["Key"]), item["UploadId"], item["Initiated"].timestamp())
            if not page.get("IsTruncated"):
                return
            marks = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort(self, upload: Upload) -> None:
        """Frees the parts of an unfinished upload."""
        try:
            self._call("abort_multipart_upload", upload.key, UploadId=upload.id)
        except FileNotFoundError:
            return

    def _put_if(self, key: str, content: bytes, expected: str | None) -> bool:
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        for _ in range(CONFLICTS):
            try:
                self._call("put_object", key, Body=content, **condition)
                return True
            except OSError as error:
                answer = status(error)
                if answer == NOT_MET or (answer == NOT_FOUND and expected is not None):
                    return self._holds(key, content)
                if answer != CONFLICT:
                    raise
            time.sleep(CONFLICT_WAIT_S)
        raise TimeoutError(f"{self.address(key)} is being written by others all the time; run again")

    def _holds(self, key: str, content: bytes) -> bool:
        """Whether it was this very process that wrote: an answer may get lost, and the request is repeated then."""
        try:
            return self.read(key) == content
        except FileNotFoundError:
            return False

    @functools.cached_property
    def _numbered(self) -> NumberedCells:
        return NumberedCells(self)

    def _is_numbered(self, ask: bool = False) -> bool:
        """Whether cells are numbered files.

        Args:
            ask: find it out, by writing a probe, where nobody has done so. Else they are not: none was ever written.
        """
        if self._conditional is None:
            self._conditional = remembered(self)
        if self._conditional is None and ask:
            self._conditional = find_out(self, self._put_if)
        return self._conditional is False

    def _get(self, key: str) -> Cell:
        async def get() -> Cell:
            answer = await self._s3._call_s3("get_object", Bucket=self._bucket, Key=self._prefix + key)
            return Cell(await answer["Body"].read(), answer["ETag"], key)

        with told(self.address(key)):
            return sync(self._s3.loop, get)

    def _call(self, method: str, key: str, **arguments: Any) -> dict[str, Any]:
        if key:
            arguments["Key"] = self._prefix + key
        with told(self.address(key)):
            answer: dict[str, Any] = self._s3.call_s3(method, Bucket=self._bucket, **arguments)
            return answer

    def _pages(self, prefix: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            start = self._prefix + below(prefix)
            page = self._call("list_objects_v2", "", Prefix=start, MaxKeys=BATCH, **arguments, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _key(self, remote: str) -> str:
        return remote[len(self._prefix) :]

    def _remote(self, key: str) -> str:
        return f"{self._bucket}/{self._prefix}{key}"
