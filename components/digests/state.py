"""Whether a file of this machine was written to since its digest was taken, told without reading it.

Not told: what a process writes into memory that is mapped to the file, until the system writes that back; and on FAT
and some FUSE mounts, whose time of last change follows the modification time, one byte changed with time and size kept.
There, `ingest.remember_digests: false` is right.
"""

import os
from pathlib import Path
from typing import NamedTuple

RACY_NS = 3_000_000_000
"""A file changed within so many nanoseconds before it was read may be changed again within the same tick of its times.

Times have ticks of up to 2 s (FAT, and some network file systems); git calls such timestamps racy.
"""


class State(NamedTuple):
    """What the file system tells of a file."""

    # Not the device: its number may be another one with each mount.
    inode: int
    bytes: int
    modified_ns: int
    changed_ns: int
    """The time of the last change of content, name or attributes. Only the system sets it: whoever writes to a file and
    sets its modification time back cannot set this one back."""

    @classmethod
    def of(cls, path: Path) -> "State":
        """Asks the file system.

        Raises:
            OSError: the file is not there or cannot be reached.
        """
        return cls.from_status(path.stat())

    @classmethod
    def from_status(cls, status: os.stat_result) -> "State":
        """Takes what `os.stat` gave."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def key(self, path: Path) -> str:
        """The name under which the digest of the file in this state is remembered."""
        return f"file:{':'.join(map(str, self))}:{path}"

    def is_settled(self, now_ns: int) -> bool:
        """Whether a further change would give another state; never for times in the future.

        Args:
            now_ns: nanoseconds since 1970.
        """
        return now_ns - max(self.modified_ns, self.changed_ns) > RACY_NS
