"""How much memory a process has, and what may be kept in it."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)
Cache = Literal["memory", "disk", "none"]
CGROUP_OF_PROCESS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
GIB = 2**30


class Limits:
    """What a process may keep."""

    def __init__(self, share: float) -> None:
        """Takes the share of the memory that examples may take."""
        self._share = share
        self._available_bytes = available_bytes()
        self._logged: set[Cache] = set()

    def place_for(self, size_bytes: int, wanted: Cache | Literal["auto"]) -> Cache:
        """Where examples are kept from epoch to epoch; logs each choice once.

        Args:
            size_bytes: of the examples.
            wanted: as configured; auto: in memory where they fit into the share, else nowhere.
        """
        fits = size_bytes <= self._share * self._available_bytes
        chosen: Cache = ("memory" if fits else "none") if wanted == "auto" else wanted
        if chosen not in self._logged:
            self._logged.add(chosen)
            self._log(chosen, size_bytes, fits, "auto" if wanted == "auto" else "as configured")
        return chosen

    def _log(self, chosen: Cache, size_bytes: int, fits: bool, why: str) -> None:
        log.log(
            logging.WARNING if chosen == "memory" and not fits else logging.INFO,
            "cache %s (%s): the examples take %.3g GiB, and a share of %g of %.3g GiB of memory is %s",
            chosen,
            why,
            size_bytes / GIB,
            self._share,
            self._available_bytes / GIB,
            "enough" if fits else "not enough",
        )


def available_bytes() -> int:
    """The machine's memory, or what the process's control group may use of it, as in a container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits()])


def _cgroup_limits() -> Iterator[int]:
    """The limits of the process's control group and of those that it lies in."""
    for folder, file in _cgroup_folders():
        for each in (folder, *folder.parents):
            text = _read(each / file)
            if each.is_relative_to(CGROUPS) and text.isdecimal():  # version 2 says "max" where there is no limit
                yield int(text)


def _cgroup_folders() -> Iterator[tuple[Path, str]]:
    """The process's folder in each version of control groups that limits memory, and the file of the limit."""
    for line in _read(CGROUP_OF_PROCESS).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield CGROUPS / path.lstrip("/"), "memory.max"
        elif "memory" in controllers.split(","):
            yield CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"


def _read(path: Path) -> str:
    """The text of a file without blanks around it; "" where it cannot be read, as outside Linux."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
