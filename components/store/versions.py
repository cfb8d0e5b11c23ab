"""The versions of one model: found, added."""

from collections.abc import Callable
from pathlib import Path

from components.errors import UserError
from components.storage.address import Address, is_local
from components.storage.open import open_storage
from components.store.bucket_versions import BucketVersions
from components.store.folder_versions import FolderVersions
from components.store.marks import Marks
from components.store.version import Version


class Versions:
    """`models/<name>/versions/` below a work directory, which is a folder or `s3://bucket/prefix`."""

    def __init__(self, work: Address, name: str) -> None:
        self.name = name
        self.storage = open_storage(work)
        self.prefix = f"models/{name}"
        self._marks = Marks(self.storage, f"{self.prefix}/pointers/doomed")
        versions = f"{self.prefix}/versions"
        self._location = Path(work) / versions if is_local(work) else f"{self.storage.url}/{versions}"
        self._versions = (
            FolderVersions(self._location)
            if isinstance(self._location, Path)
            else BucketVersions(self.storage, versions, self._marks)
        )

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return [self._version(number) for number in self._versions.complete()]

    def numbers(self) -> list[int]:
        """All numbers that are taken, lowest first: on S3 also those of versions that are not finished."""
        return self._versions.numbers()

    def find(self, number: int) -> Version | None:
        """One version; None where there is no such version."""
        return self._version(number) if self._versions.is_complete(number) else None

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            UserError: there is no such version.
        """
        found = self.find(number)
        if found is None:
            known = ", ".join(str(version.number) for version in self.versions()) or "none"
            where = self.storage.address(self.prefix)
            raise UserError(f"version {number} is not in {where}; the versions there are: {known}")
        return found

    def add(self, fill: Callable[[Path, int], None]) -> Version:
        """Adds a version under the next free number.

        Args:
            fill: writes the version's files into the folder it is given; it is also given the number, and called again
                with the next number when another writer takes that one first.
        """
        return self._version(self._versions.add(fill))

    def _version(self, number: int) -> Version:
        place = self._location / str(number) if isinstance(self._location, Path) else f"{self._location}/{number}"
        return Version(number, place)
